import { errorMessage } from "../../model/error.ts";
import { plain } from "../output/plain.ts";
import type { View } from "../output/printer.ts";
import type { Named } from "../resolve.ts";

/** What became of a change of one VM. */
export interface Outcome {
  readonly vm: Named;
  /** In a few words: "started", "moved to virt2". */
  readonly said: string;
  /** Where the change could be looked up; undefined: nothing was asked for, or nobody answered. */
  readonly operation: string | undefined;
  /** running: it is not waited for; unknown: nobody has answered; unbegun: it was not asked for. */
  readonly state: "completed" | "running" | "failed" | "cancelled" | "unknown" | "unbegun";
  /** Why it failed. */
  readonly error?: unknown;
}

/** For programs. */
export const OUTCOME_VIEW: View<Outcome> = {
  columns: [],
  name: ({ vm }) => vm.name,
  record: ({ vm, said, operation, state, error }) => ({
    uuid: vm.uuid,
    name: vm.name,
    state,
    result: said,
    operation: operation ?? null,
    error: error === undefined ? null : errorMessage(error),
  }),
};

/** "web1: started". */
export function outcomeLine({ vm, said }: Outcome): string {
  return `${plain(vm.name)}: ${plain(said)}`;
}

/** What is said of how many, in that order. */
const WORDS: readonly (readonly [state: Outcome["state"], words: string])[] = [
  ["completed", "done"],
  ["cancelled", "cancelled"],
  ["failed", "failed"],
  ["running", "under way"],
  ["unknown", "not answered"],
  ["unbegun", "not begun"],
];

/** "3 done, 2 cancelled, 7 not begun". */
export function tally(outcomes: readonly Outcome[]): string {
  return WORDS.flatMap(([state, words]) => {
    const count = outcomes.filter((outcome) => outcome.state === state).length;
    return count === 0 ? [] : [`${count} ${words}`];
  }).join(", ");
}
