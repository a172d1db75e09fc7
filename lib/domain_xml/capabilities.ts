import { attribute, child, children, descend, integer, trimmedText, type XmlElement } from "./element.ts";
import { readXml } from "./read.ts";

/** A host as virConnectGetCapabilities describes it: the part that virtxd uses. */
export interface Capabilities {
  readonly host: HostCapabilities;
  /** What it can run, one entry for each architecture. */
  readonly guests: readonly GuestCapabilities[];
}

export interface HostCapabilities {
  /** undefined: the driver (test) does not tell. */
  readonly uuid: string | undefined;
  readonly arch: string;
  /** Empty: not told. */
  readonly vendor: string;
  /** Empty: not told. */
  readonly model: string;
  /** Hz; 0: not told. */
  readonly tscFrequencyHz: number;
  /** As libvirt counts: `sockets` are those of one NUMA node. undefined: not told. */
  readonly topology:
    | { readonly sockets: number; readonly dies: number; readonly cores: number; readonly threads: number }
    | undefined;
  /** At least one. */
  readonly numaNodes: number;
  /** Page sizes, KiB, the smallest first. */
  readonly pageSizesKiB: readonly number[];
}

export interface GuestCapabilities {
  readonly arch: string;
  /** Path of the emulator. */
  readonly emulator: string;
  /** kvm, qemu, test. */
  readonly domainTypes: readonly string[];
  /** Names and aliases, such as pc-q35-7.2 and q35. */
  readonly machines: ReadonlySet<string>;
}

/** Reads what virConnectGetCapabilities returns (libvirt's formatcaps). */
export function parseCapabilities(xml: string): Capabilities {
  const root = readXml(xml, "capabilities");
  const guests = children(root, "guest").filter((guest) => trimmedText(child(guest, "os_type")) === "hvm");
  return { host: parseHost(child(root, "host")), guests: guests.map(parseGuest) };
}

function parseHost(host: XmlElement | undefined): HostCapabilities {
  const cpu = child(host, "cpu");
  const counter = children(cpu, "counter").find((entry) => attribute(entry, "name") === "tsc");
  const topology = child(cpu, "topology");
  const count = (name: string) => integer(attribute(topology, name)) ?? 1;
  return {
    uuid: trimmedText(child(host, "uuid")) || undefined,
    arch: trimmedText(child(cpu, "arch")),
    vendor: trimmedText(child(cpu, "vendor")),
    model: trimmedText(child(cpu, "model")),
    tscFrequencyHz: integer(attribute(counter, "frequency")) ?? 0,
    topology: topology && {
      sockets: count("sockets"),
      dies: count("dies"),
      cores: count("cores"),
      threads: count("threads"),
    },
    numaNodes: Math.max(1, children(descend(host, "topology", "cells"), "cell").length),
    pageSizesKiB: children(cpu, "pages").map((pages) => integer(attribute(pages, "size")) ?? 0)
      .filter((size) => size > 0).toSorted((a, b) => a - b),
  };
}

function parseGuest(guest: XmlElement): GuestCapabilities {
  const arch = child(guest, "arch");
  return {
    arch: attribute(arch, "name") ?? "",
    emulator: trimmedText(child(arch, "emulator")),
    domainTypes: children(arch, "domain").map((domain) => attribute(domain, "type") ?? ""),
    machines: new Set(children(arch, "machine").map(trimmedText)),
  };
}
