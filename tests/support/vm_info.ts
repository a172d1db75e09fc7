import type { Host } from "../../lib/model/host.ts";
import { HostState, Runstate } from "../../lib/model/enums.ts";
import type { VmInfo } from "../../lib/model/vm.ts";

/** A UUID that tests can count on: `numberedUuid(7)` ends in 7. */
export function numberedUuid(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

/** What the inventory might know of a VM; the test says what matters to it. */
export function vmInfo(part: Partial<VmInfo> = {}): VmInfo {
  return {
    uuid: numberedUuid(1),
    name: "web1",
    host: numberedUuid(1000),
    runstate: Runstate.running,
    vlanid: 0,
    custom: [],
    vcpus: 1,
    ts: 1,
    ...part,
  };
}

/** A host as the inventory might hold it; the test says what matters to it. */
export function hostEntry(part: Partial<Host> = {}): Host {
  const none = { total: 0, used: 0, free: 0, usedos: 0, reservedvms: 0, usedvms: 0, availablevms: 0 };
  return {
    uuid: numberedUuid(1000),
    def: {
      name: "virt1",
      cpuarch: { arch: "x86_64", vendor: "Intel" },
      cpudef: { model: "Skylake-Server", nodes: 1, sockets: 2, cores: 8, threads: 2 },
      tscfreq: 0,
      sysinfo: { version: "1.0", date: "01/02/2025" },
      osid: "debian",
      osv: "12",
    },
    cstate: HostState.active,
    lockid: 0,
    resources: { memory: none, hp: none, cpu: none },
    ts: 1,
    ...part,
  };
}
