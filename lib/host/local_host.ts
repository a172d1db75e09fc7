import {
  type Capabilities,
  type DomainCapabilities,
  type DomainContext,
  type DomainType,
  machineType,
  parseCapabilities,
  parseDomainCapabilities,
  parseSysinfo,
  type Sysinfo,
} from "../domain_xml/mod.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { Firmware } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { Hostdef } from "../model/host.ts";
import type { Libc } from "../posix/libc.ts";
import { v5 as namedUuid } from "uuid";
import type { HostCapacity } from "./figures.ts";
import { capacityOf, hostdefOf } from "./hostdef.ts";
import { parseLoadFactor, parseMaxFrequency, parseOsRelease } from "./proc.ts";

/** The domain type that the configuration asks for; `auto`: KVM where libvirt offers it. */
export type DomainTypeSetting = "auto" | "kvm" | "qemu";

/** What of this host stays as it is while libvirt runs. */
export interface LocalHost {
  readonly uuid: string;
  readonly def: Hostdef;
  readonly capacity: HostCapacity;
  readonly contexts: ReadonlyMap<Firmware, DomainContext>;
}

const MAX_FREQUENCY_FILE = "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq";
const LOAD_FACTOR_FILE = "/etc/numa-preplace.conf";
const OS_RELEASE_FILES = ["/etc/os-release", "/usr/lib/os-release"];

/** For hosts that have no UUID: those of libvirt's test driver. */
const NAMELESS_HOSTS = "5d7b6a3e-2c0f-4f53-9a55-0d8a4f1c7e21";

/** Asks libvirt and the system what this host is and what its VMs can have. */
export async function learnLocalHost(
  hypervisor: Hypervisor,
  libc: Libc,
  setting: DomainTypeSetting,
): Promise<LocalHost> {
  const [hostname, capabilitiesXml, node, sysinfo] = await Promise.all([
    hypervisor.hostname(),
    hypervisor.capabilities(),
    hypervisor.nodeInfo(),
    unlessRefused<Sysinfo>(hypervisor.sysinfo().then(parseSysinfo)),
  ]);
  const capabilities = parseCapabilities(capabilitiesXml);
  const osRelease = OS_RELEASE_FILES.map((path) => libc.findKernelFile(path)).find((text) =>
    text !== undefined
  );
  const os = parseOsRelease(osRelease ?? "");
  const maxMhz = parseMaxFrequency(libc.findKernelFile(MAX_FREQUENCY_FILE) ?? "");
  const loadFactor = parseLoadFactor(libc.findKernelFile(LOAD_FACTOR_FILE));
  return {
    uuid: capabilities.host.uuid ?? namedUuid(hostname, NAMELESS_HOSTS),
    def: hostdefOf({ hostname, capabilities: capabilities.host, node, sysinfo, os }),
    capacity: capacityOf(node, maxMhz, loadFactor),
    contexts: await learnContexts(hypervisor, capabilities, setting),
  };
}

/**
 * The type of this host's domains. libvirt offers KVM only if QEMU, as libvirt runs it, can use /dev/kvm; so there is
 * nothing more to look at for `auto`.
 */
export function domainTypeOf(
  driver: string,
  capabilities: Capabilities,
  setting: DomainTypeSetting,
): DomainType {
  if (driver === "TEST") return "test";
  if (setting !== "auto") return setting;
  const native = capabilities.guests.filter((guest) => guest.arch === capabilities.host.arch);
  return native.some((guest) => guest.domainTypes.includes("kvm")) ? "kvm" : "qemu";
}

async function learnContexts(
  hypervisor: Hypervisor,
  capabilities: Capabilities,
  setting: DomainTypeSetting,
): Promise<ReadonlyMap<Firmware, DomainContext>> {
  const { driver, libvirtVersion } = hypervisor;
  const { arch } = capabilities.host;
  const domainType = domainTypeOf(driver, capabilities, setting);
  const contexts = Object.values(Firmware).map(async (firmware): Promise<[Firmware, DomainContext]> => {
    const guest = { arch, machine: machineType(arch, firmware), virttype: domainType };
    const offered = await unlessRefused<DomainCapabilities>(
      hypervisor.domainCapabilities(guest).then(parseDomainCapabilities),
    );
    return [firmware, { arch, domainType, libvirtVersion, capabilities: offered }];
  });
  return new Map(await Promise.all(contexts));
}

/** The answer; undefined if libvirt has none for this host (a driver without it, a machine type that QEMU lacks). */
async function unlessRefused<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof VirtxError && error.kind === "refused") return undefined;
    throw error;
  }
}
