import { HostState, Runstate } from "../../model/enums.ts";
import { age, instantOrNull } from "../output/human.ts";
import type { View } from "../output/printer.ts";
import type { VmItem } from "../server/vms.ts";
import { hostStateWord, runstateStyle, runstateWord } from "./words.ts";

/** VMs as `vm list` prints them. */
export function vmListView(
  o: { readonly hostName: (uuid: string) => string; readonly now: number },
): View<VmItem> {
  const { hostName, now } = o;
  return {
    name: ({ name }) => name,
    columns: [
      { heading: "NAME", text: ({ name }) => name, least: 8 },
      { heading: "STATE", text: stateText, style: ({ runstate }) => runstateStyle(runstate), least: 8 },
      { heading: "HOST", text: ({ host }) => hostName(host), least: 6 },
      { heading: "VLAN", text: ({ vlanid }) => vlanid === 0 ? "-" : String(vlanid), right: true, spare: 2 },
      { heading: "UPDATED", text: ({ ts }) => age(ts, now), right: true, spare: 1 },
      { heading: "SEEN", text: ({ seen }) => age(seen, now), right: true, wide: true },
      { heading: "CUSTOM", text: customText, wide: true },
      { heading: "UUID", text: ({ uuid }) => uuid, wide: true },
    ],
    record: (vm) => ({
      uuid: vm.uuid,
      name: vm.name,
      state: runstateWord(vm.runstate),
      laststate: runstateWord(vm.lastrunstate),
      host: hostName(vm.host),
      hostuuid: vm.host,
      hoststate: hostStateWord(vm.cstate),
      vlanid: vm.vlanid,
      custom: vm.custom ?? null,
      updated: instantOrNull(vm.ts),
      seen: instantOrNull(vm.seen),
    }),
  };
}

/** "running"; "unknown (was running)" where its host is away; "not defined" where its host has no more than its file. */
function stateText({ runstate, lastrunstate, cstate }: VmItem): string {
  if (runstate === Runstate.none && lastrunstate === Runstate.none && cstate === HostState.active) {
    return "not defined";
  }
  const word = runstateWord(runstate);
  return runstate === Runstate.none && lastrunstate !== Runstate.none
    ? `${word} (was ${runstateWord(lastrunstate)})`
    : word;
}

function customText({ custom }: VmItem): string {
  return custom === undefined ? "-" : `${custom.name}=${custom.value}`;
}
