import { enumName, HostState, MigrationState, Runstate } from "../../model/enums.ts";
import type { Style } from "../output/colours.ts";

/** The run state of a VM in a word: "running"; "unknown" where its host is away. */
export function runstateWord(runstate: Runstate): string {
  return runstate === Runstate.none ? "unknown" : enumName(Runstate, runstate);
}

/** How the API has the word for a run state in its filters. */
export function runstateQuery(word: string | undefined): string | undefined {
  return word === "unknown" ? enumName(Runstate, Runstate.none) : word;
}

/** The operation in the words of the commands: "VmBoot" is "start". */
export function operationWord(op: string): string {
  return OPERATION_WORDS.get(op) ?? hyphenated(op.replace(/^Vm(?=[A-Z])/, "")).replace(/^-/, "");
}

const OPERATION_WORDS: ReadonlyMap<string, string> = new Map([["VmBoot", "start"], ["VmShutdown", "stop"]]);

/** Green is at work, yellow on its way or held, red has failed. */
export function runstateStyle(runstate: Runstate): Style | undefined {
  switch (runstate) {
    case Runstate.running:
      return "green";
    case Runstate.startup:
    case Runstate.paused:
    case Runstate.migrating:
    case Runstate.terminating:
    case Runstate.pmsuspended:
      return "yellow";
    case Runstate.crashed:
    case Runstate.none:
      return "red";
    default:
      return "dim";
  }
}

/** The state of a host in the cluster in a word: "active". */
export function hostStateWord(cstate: HostState): string {
  return cstate === HostState.invalid ? "unknown" : enumName(HostState, cstate);
}

/** The state of a host that Serf does not know any more. */
export const GONE_WORD = "gone";

export function hostStateStyle(cstate: HostState): Style | undefined {
  if (cstate === HostState.active) return "green";
  return cstate === HostState.left ? "dim" : "red";
}

/** The state of a migration in words: "pre-switchover". */
export function migrationStateWord(state: MigrationState): string {
  return hyphenated(enumName(MigrationState, state));
}

/** An enumeration's name as people write it: "virtioBlk" is "virtio-blk". */
export function hyphenated(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
