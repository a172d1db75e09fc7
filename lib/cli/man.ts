import type { Command } from "./command.ts";
import { COMMON_FLAGS } from "./commands/common.ts";
import { allCommands } from "./commands/table.ts";
import { CLIENT_EXIT_CODES } from "./exit_code.ts";
import { argumentUsage, ENVIRONMENT, FILES, FIRST_STEPS, flagSummary, flagUsage, usageOf } from "./help.ts";

/** The manual page virtx(1), for man(1): in the man macros, which every man has. */
export function manPage(version: string): string {
  return [
    `.TH VIRTX 1 "" "virtx ${version}" "virtx"`,
    ".SH NAME",
    "virtx \\- run the virtual machines of a cluster of hosts",
    ".SH SYNOPSIS",
    ".B virtx",
    text("<what> <command> [arguments] [flags]"),
    ".SH DESCRIPTION",
    text(
      "virtx is the client of virtxd(8): ask any host about any VM. It is the same executable, called by this name;",
    ),
    text("virtxd <what> <command> does the same."),
    ".SH FIRST STEPS",
    ...FIRST_STEPS.flatMap(([command, about]) => example(command, about)),
    ".SH COMMANDS",
    ...allCommands().flatMap(commandSection),
    ".SH FLAGS OF EVERY COMMAND",
    ...COMMON_FLAGS.flatMap((flag) => term(flagUsage(flag).trim(), flagSummary(flag))),
    ".SH EXIT STATUS",
    ...CLIENT_EXIT_CODES.flatMap(([code, meaning]) => term(code, meaning)),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.flatMap(([name, about]) => term(name, about)),
    ".SH FILES",
    ...FILES.flatMap(([path, about]) => term(path, about)),
    "",
  ].join("\n");
}

function commandSection(command: Command): readonly string[] {
  const { summary, description, arguments: args = [], flags = [], examples } = command;
  return [
    `.SS ${text(`virtx ${usageOf(command)}`)}`,
    text(`${summary}.`),
    ...(description ?? "").split("\n\n").filter((part) => part !== "").flatMap((part) => [".PP", text(part)]),
    ...args.flatMap((argument) => term(argumentUsage(argument), argument.summary)),
    ...flags.flatMap((flag) => term(flagUsage(flag).trim(), flagSummary(flag))),
    ...examples.flatMap((one) => example(one.command, one.summary)),
  ];
}

function term(what: string, about: string): readonly string[] {
  return [".TP", `.B ${text(what)}`, text(about)];
}

function example(command: string, about: string): readonly string[] {
  return [".PP", text(`${about}:`), ".PP", ".RS 4", ".nf", text(command), ".fi", ".RE"];
}

/** A text in which nothing is a request or an escape of roff. */
function text(words: string): string {
  return words.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("'", "\\(aq").replaceAll("…", "...")
    .replace(/^\./, "\\&.");
}
