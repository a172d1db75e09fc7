import type { HostCapabilities, Sysinfo } from "../domain_xml/mod.ts";
import type { NodeInfo } from "../libvirt/node.ts";
import type { Hostdef } from "../model/host.ts";
import type { HostCapacity } from "./figures.ts";

/** Where a host's definition comes from. */
export interface HostFacts {
  /** virConnectGetHostname. */
  readonly hostname: string;
  readonly capabilities: HostCapabilities;
  readonly node: NodeInfo;
  /** undefined: the driver has no virConnectGetSysinfo, or the host no SMBIOS. */
  readonly sysinfo: Sysinfo | undefined;
  /** os-release(5). */
  readonly os: { readonly osid: string; readonly osv: string };
}

/** The host as protocol.md §1 describes it. */
export function hostdefOf({ hostname, capabilities, node, sysinfo, os }: HostFacts): Hostdef {
  const { nodes, sockets, cores, threads } = node;
  return {
    name: hostname,
    cpuarch: { arch: capabilities.arch, vendor: capabilities.vendor },
    cpudef: { model: capabilities.model, nodes, sockets, cores, threads },
    tscfreq: capabilities.tscFrequencyHz,
    sysinfo: { version: sysinfo?.biosVersion ?? "", date: sysinfo?.biosDate ?? "" },
    ...os,
  };
}

/** How much CPU the host has; `maxMhz` of its frequency scaling, where it has one, comes before libvirt's guess. */
export function capacityOf(node: NodeInfo, maxMhz: number | undefined, loadFactor: number): HostCapacity {
  return { cpus: node.nodes * node.sockets * node.cores * node.threads, mhz: maxMhz ?? node.mhz, loadFactor };
}
