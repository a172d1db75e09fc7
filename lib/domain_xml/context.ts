import type { DomainCapabilities } from "./domain_capabilities.ts";

/** Which hypervisor runs a domain: hardware virtualisation, QEMU's emulation (TCG), or libvirt's test driver. */
export type DomainType = "kvm" | "qemu" | "test";

/** What the host that a definition is written for can do. */
export interface DomainContext {
  /** As libvirt names it: x86_64, aarch64; the test driver has i686. */
  readonly arch: string;
  readonly domainType: DomainType;
  /** virConnectGetLibVersion: major × 1,000,000 + minor × 1,000 + release. */
  readonly libvirtVersion: number;
  /** For the machine type that {@link machineType} gives for the firmware; undefined: the driver does not tell. */
  readonly capabilities: DomainCapabilities | undefined;
}

/** Whether libvirt is at least that version. */
export function libvirtAtLeast(context: DomainContext, major: number, minor: number): boolean {
  return context.libvirtVersion >= major * 1_000_000 + minor * 1_000;
}
