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

/** The same with what the host is without: "active, libvirt away". That Serf does not reach it, "failed" says already. */
export function hostStateText({ cstate, conditions, gone }: HostStanding): string {
  if (gone) return GONE_WORD;
  const away = conditions.flatMap(({ part }) => part === "serf" && cstate !== HostState.active ? [] : [part]);
  return away.length === 0 ? hostStateWord(cstate) : `${hostStateWord(cstate)}, ${away.join(" and ")} away`;
}

/** What the state of a host is told by. */
export interface HostStanding {
  readonly cstate: HostState;
  readonly conditions: readonly { readonly part: string }[];
  /** Serf does not know it any more. */
  readonly gone?: boolean;
}

/** Whether all is well with a host: it is there and lacks nothing, or it has left in order. */
export function isInOrder({ cstate, conditions }: HostStanding): boolean {
  return conditions.length === 0 && (cstate === HostState.active || cstate === HostState.left);
}

export function hostStateStyle({ cstate, conditions }: HostStanding): Style | undefined {
  if (cstate === HostState.active) return conditions.length === 0 ? "green" : "yellow";
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
