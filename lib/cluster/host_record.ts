import type { HostState } from "../model/enums.ts";
import type { Host, Hostresource } from "../model/host.ts";
import type { HostInfo } from "./records.ts";

const UNKNOWN: Hostresource = {
  total: 0,
  used: 0,
  free: 0,
  usedos: 0,
  reservedvms: 0,
  usedvms: 0,
  availablevms: 0,
};
const UNKNOWN_RESOURCES = { memory: UNKNOWN, hp: UNKNOWN, cpu: UNKNOWN };

/** A host by what it gossips, with what is known beyond that. */
export function hostOf(info: HostInfo, known: Host | undefined, cstate: HostState): Host {
  const { uuid, name, arch, vendor, model, nodes, sockets, cores, threads, osid, osv, ts } = info;
  const { memory, hp, cpu } = known?.resources ?? UNKNOWN_RESOURCES;
  return {
    uuid,
    def: {
      name,
      cpuarch: { arch, vendor },
      cpudef: { model, nodes, sockets, cores, threads },
      tscfreq: known?.def.tscfreq ?? 0,
      sysinfo: known?.def.sysinfo ?? { version: "", date: "" },
      osid,
      osv,
    },
    cstate,
    lockid: known?.lockid ?? 0,
    resources: {
      memory: { ...memory, availablevms: info.memoryavailable },
      hp: { ...hp, availablevms: info.hpavailable },
      cpu,
    },
    ts,
  };
}
