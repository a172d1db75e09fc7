import type { Command, Flag } from "./command.ts";
import { COMMON_FLAGS } from "./commands/common.ts";
import { GENERAL, NOUNS } from "./commands/table.ts";
import { CLIENT_EXIT_CODES } from "./exit_code.ts";
import { argumentUsage, ENVIRONMENT, FILES, FIRST_STEPS, flagSummary, flagUsage, usageOf } from "./help.ts";

/** All of help as one page of Markdown, for the documentation. */
export function referencePage(): string {
  return [
    "# virtx, command by command",
    "_Made by `virtx help --markdown`._",
    "## First steps",
    fenced(FIRST_STEPS.map(([command, about]) => `${command}   # ${about}`)),
    ...NOUNS.flatMap(({ name, summary, commands }) => [
      `## ${name}`,
      `${summary}.`,
      ...commands.flatMap(section),
    ]),
    "## Other commands",
    ...GENERAL.flatMap(section),
    "## Flags of every command",
    flagList(COMMON_FLAGS),
    "## Exit codes",
    CLIENT_EXIT_CODES.map(([code, meaning]) => `- \`${code}\` ${meaning}`).join("\n"),
    "## Environment",
    ENVIRONMENT.map(([name, about]) => `- \`${name}\` ${about}`).join("\n"),
    "## Files",
    FILES.map(([path, about]) => `- \`${path}\` ${about}`).join("\n"),
  ].join("\n\n") + "\n";
}

function section(command: Command): readonly string[] {
  const { summary, description, arguments: args = [], flags = [], examples } = command;
  return [
    `### ${command.path.join(" ")}`,
    `\`virtx ${usageOf(command)}\``,
    `${summary}. ${description ?? ""}`.trim(),
    ...args.length > 0
      ? [args.map((argument) => `- \`${argumentUsage(argument)}\` ${argument.summary}`).join("\n")]
      : [],
    ...flags.length > 0 ? [flagList(flags)] : [],
    fenced(examples.map(({ command, summary }) => `${command}   # ${summary}`)),
  ];
}

function flagList(flags: readonly Flag[]): string {
  return flags.map((flag) => `- \`${flagUsage(flag).trim()}\` ${flagSummary(flag)}`).join("\n");
}

function fenced(lines: readonly string[]): string {
  return ["```sh", ...lines, "```"].join("\n");
}
