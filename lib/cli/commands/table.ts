import type { Command, Noun } from "../command.ts";
import { CLUSTER_COMMANDS, EVENT_COMMANDS } from "./cluster.ts";
import { CONFIG_COMMANDS, GENERAL_COMMANDS } from "./general.ts";
import { HOST_COMMANDS } from "./host.ts";
import { OPERATION_COMMANDS } from "./operation.ts";
import { TRASH_COMMANDS } from "./trash.ts";
import { VM_COMMANDS } from "./vm.ts";

/** All that the client can do, in the order of help. */
export const NOUNS: readonly Noun[] = [
  { name: "vm", summary: "Virtual machines: create, run, move and watch them", commands: VM_COMMANDS },
  { name: "host", summary: "The hosts of the cluster, and what they have left", commands: HOST_COMMANDS },
  {
    name: "operation",
    summary: "Changes that were asked for, and what became of them",
    commands: OPERATION_COMMANDS,
  },
  {
    name: "trash",
    summary: "What was deleted with its disks, and can be restored",
    commands: TRASH_COMMANDS,
  },
  { name: "event", summary: "What changes in the cluster, as it happens", commands: EVENT_COMMANDS },
  { name: "cluster", summary: "The cluster as a whole", commands: CLUSTER_COMMANDS },
  { name: "config", summary: "Profiles of this client: which servers to ask", commands: CONFIG_COMMANDS },
];

/** Commands that are about nothing in the cluster: named by one word. */
export const GENERAL: readonly Command[] = GENERAL_COMMANDS;

/** Every command. */
export function allCommands(): readonly Command[] {
  return [...NOUNS.flatMap(({ commands }) => commands), ...GENERAL];
}
