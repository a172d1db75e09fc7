import { errorMessage } from "../../model/error.ts";
import { plain } from "../output/plain.ts";
import type { View } from "../output/printer.ts";
import type { Named } from "../resolve.ts";

/** What became of a change of one VM. */
export interface Outcome {
  readonly vm: Named;
  /** In a few words: "started", "moved to virt2". */
  readonly said: string;
  /** Where the change could be looked up; undefined: nothing was asked for. */
  readonly operation: string | undefined;
  readonly state: "completed" | "running" | "failed";
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
