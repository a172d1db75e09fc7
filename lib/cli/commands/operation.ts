import type { Command } from "../command.ts";
import { OPERATION } from "./common.ts";

/** Commands about changes that were asked for. */
export const OPERATION_COMMANDS: readonly Command[] = [
  {
    path: ["operation", "list"],
    summary: "List what was asked for and what became of it",
    description: "Operations are kept for a day. All hosts are asked; those that do not answer are named.",
    flags: [
      { name: "vm", value: "<vm>", kind: "vm", summary: "Only those of this VM" },
      { name: "host", value: "<host>", kind: "host", summary: "Only those that this host carries out" },
      {
        name: "state",
        value: "<state>",
        choices: ["running", "completed", "failed", "cancelled"],
        summary: "Only those in this state",
      },
      { name: "limit", value: "<number>", summary: "No more than so many; without it 100" },
    ],
    examples: [
      { command: "virtx operation list", summary: "The latest" },
      { command: "virtx operation list --state failed", summary: "What went wrong" },
    ],
    load: () => import("../run/operation_list.ts"),
  },
  {
    path: ["operation", "get"],
    summary: "Show all about an operation",
    arguments: [OPERATION],
    examples: [
      { command: "virtx operation get $(virtx operation list --limit 1 -o name)", summary: "The latest one" },
    ],
    load: () => import("../run/operation_get.ts"),
  },
  {
    path: ["operation", "wait"],
    summary: "Wait for the end of operations, and tell what became of them",
    arguments: [{ ...OPERATION, many: true, summary: "Their ids, or as much of them as no other has" }],
    examples: [
      {
        command: "virtx operation wait $(virtx vm start web1 --no-wait -q)",
        summary: "Begin now, and wait later",
      },
    ],
    load: () => import("../run/operation_wait.ts"),
  },
  {
    path: ["operation", "cancel"],
    summary: "Have operations given up that are under way",
    description:
      "A migration is aborted, and the VM stays where it is; the creation of a VM is undone. What cannot be given up is " +
      "refused with the reason.",
    arguments: [{ ...OPERATION, many: true, summary: "Their ids, or as much of them as no other has" }],
    examples: [
      {
        command: "virtx operation cancel $(virtx operation list --state running -o name)",
        summary: "Give up all that is under way",
      },
    ],
    load: () => import("../run/operation_cancel.ts"),
  },
];
