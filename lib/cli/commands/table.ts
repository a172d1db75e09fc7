import type { Command, Noun } from "../command.ts";
import { GENERAL_COMMANDS } from "./general.ts";
import { HOST_COMMANDS } from "./host.ts";
import { VM_COMMANDS } from "./vm.ts";

/** All that the client can do, in the order of help. */
export const NOUNS: readonly Noun[] = [
  { name: "vm", summary: "Virtual machines: create, run, move, watch", commands: VM_COMMANDS },
  { name: "host", summary: "The hosts of the cluster and what they have left", commands: HOST_COMMANDS },
];

/** Commands that are about nothing in the cluster: named by one word. */
export const GENERAL: readonly Command[] = GENERAL_COMMANDS;

/** Every command. */
export function allCommands(): readonly Command[] {
  return [...NOUNS.flatMap(({ commands }) => commands), ...GENERAL];
}
