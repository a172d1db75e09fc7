import type { Argument, Command } from "../command.ts";
import { YES_FLAG } from "./common.ts";

const ENTRIES: Argument = {
  name: "entry",
  summary: "Their ids or the names of their VMs, or beginnings of either",
  kind: "trash",
  many: true,
};

/** Commands about what was deleted with its storage. */
export const TRASH_COMMANDS: readonly Command[] = [
  {
    path: ["trash", "list"],
    summary: "List what was deleted and can be restored",
    description:
      "Read from the shared storage, by whatever server answers. UNTIL is by the storage's clock; what is needed for a new " +
      "disk goes before, the oldest first.",
    examples: [
      { command: "virtx trash list", summary: "All of it, the oldest first" },
      { command: "virtx trash list -o json", summary: "For scripts" },
    ],
    load: () => import("../run/trash_list.ts"),
  },
  {
    path: ["trash", "restore"],
    summary: "Put back what was deleted",
    description:
      "All disks return to where they were; if one of the paths is taken, nothing changes. A VM that was deleted is defined " +
      "again, unless there is one with its UUID. UEFI variables come back if they were on the shared storage; else the " +
      "firmware starts with new ones.",
    arguments: [ENTRIES],
    flags: [
      {
        name: "host",
        value: "<host>",
        kind: "host",
        summary: "Define the VM on this host; without it on the server that is asked",
      },
    ],
    examples: [{ command: "virtx trash restore web2", summary: "The VM and its disks" }],
    load: () => import("../run/trash_restore.ts"),
  },
  {
    path: ["trash", "empty"],
    summary: "Remove for good what was deleted",
    description:
      "On a terminal you are asked first. A file that turned out to be another than was to be deleted is left, unless " +
      "you force it.",
    arguments: [{ ...ENTRIES, optional: true }],
    flags: [
      { name: "all", summary: "All that is in the trash" },
      { name: "force", summary: "Remove also files that nobody meant to delete, and what cannot be read" },
      YES_FLAG,
    ],
    examples: [
      { command: "virtx trash empty web2 --yes", summary: "What was deleted of web2, without a question" },
      { command: "virtx trash empty --all --yes", summary: "All of it" },
    ],
    load: () => import("../run/trash_empty.ts"),
  },
];
