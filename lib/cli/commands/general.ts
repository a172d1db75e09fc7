import type { Command } from "../command.ts";

export const GENERAL_COMMANDS: readonly Command[] = [
  {
    path: ["version"],
    summary: "Print the versions of this program and of the runtime in it",
    examples: [{ command: "virtx version", summary: "The version" }],
    load: () => import("../run/version.ts"),
  },
  {
    path: ["help"],
    summary: "Print help about everything or about a command",
    arguments: [
      { name: "command", summary: "The words that name a command", kind: "word", many: true, optional: true },
    ],
    examples: [
      { command: "virtx help", summary: "What there is" },
      { command: "virtx help vm list", summary: "Help about a command" },
    ],
    load: () => import("../run/help.ts"),
  },
];
