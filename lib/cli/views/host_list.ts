import { vcpus } from "../../model/vm.ts";
import { age, amount, instantOrNull } from "../output/human.ts";
import type { View } from "../output/printer.ts";
import type { HostItem } from "../server/hosts.ts";
import { conditionRecords, reasonsOf } from "./conditions.ts";
import { hostStateStyle, hostStateText, hostStateWord } from "./words.ts";

/** Hosts as `host list` prints them. */
export function hostListView(now: number): View<HostItem> {
  return {
    name: ({ name }) => name,
    columns: [
      { heading: "NAME", text: ({ name }) => name, least: 8 },
      {
        heading: "STATE",
        text: hostStateText,
        style: hostStateStyle,
      },
      { heading: "CPUS", text: ({ cpu }) => String(vcpus(cpu)), right: true, spare: 2 },
      {
        heading: "MEMORY LEFT",
        text: ({ gone, memoryAvailable }) => gone ? "-" : amount(memoryAvailable),
        right: true,
      },
      {
        heading: "HUGEPAGES LEFT",
        text: ({ hpAvailable }) => hpAvailable === 0 ? "-" : amount(hpAvailable),
        right: true,
        spare: 3,
      },
      { heading: "ARCH", text: ({ arch }) => arch, spare: 5 },
      { heading: "OS", text: ({ osid, osv }) => `${osid} ${osv}`.trim(), spare: 4, least: 6 },
      { heading: "SEEN", text: ({ seen }) => age(seen, now), right: true, spare: 1 },
      { heading: "NOT IN ORDER", text: ({ conditions }) => reasonsOf(conditions), wide: true },
      { heading: "CPU MODEL", text: ({ cpu }) => cpu.model, wide: true },
      { heading: "VENDOR", text: ({ vendor }) => vendor, wide: true },
      { heading: "UUID", text: ({ uuid }) => uuid, wide: true },
    ],
    record: (host) => ({
      uuid: host.uuid,
      name: host.name,
      state: hostStateWord(host.cstate),
      gone: host.gone,
      conditions: conditionRecords(host.conditions),
      cpus: vcpus(host.cpu),
      cpumodel: host.cpu.model,
      arch: host.arch,
      vendor: host.vendor,
      memoryavailable: host.memoryAvailable,
      hpavailable: host.hpAvailable,
      osid: host.osid,
      osv: host.osv,
      measured: instantOrNull(host.ts),
      seen: instantOrNull(host.seen),
    }),
  };
}
