import { AnswerError } from "../api/answer_error.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import { Unattended } from "./changes/attended.ts";
import { ConfigurationError } from "./configuration_error.ts";
import { clientExitCodeOf, ExitCode } from "./exit_code.ts";
import { Interrupted } from "./interrupts.ts";
import { plain } from "./output/plain.ts";
import { OutputError, type Terminal } from "./terminal.ts";

/** Says why a command failed: what, why, and what could be done about it. How the process is to end. */
export function reportFailure(error: unknown, program: string, err: Terminal): ExitCode {
  if (error instanceof Interrupted) {
    // Behind the ^C that the terminal shows, unless there were words about what goes on.
    if (err.isTerminal && !(error instanceof Unattended)) err.line();
    return ExitCode.interrupted;
  }
  err.write(failureText(error, program, err));
  if (error instanceof ConfigurationError) return ExitCode.config;
  if (error instanceof OutputError) return ExitCode.output;
  return error instanceof VirtxError ? clientExitCodeOf(error.kind) : ExitCode.internal;
}

function failureText(error: unknown, program: string, err: Terminal): string {
  const { colours } = err;
  const mark = colours.paint(`${program}:`, "red");
  if (!(error instanceof VirtxError)) {
    const details = error instanceof Error ? error.stack ?? error.message : String(error);
    return `${mark} a defect of this program: ${plain(errorMessage(error))}\n${details}\n`;
  }
  const lines = [`${mark} ${lined(error.message)}${requestOf(error)}`];
  for (const { field, message } of error.issues) {
    if (!error.message.includes(message)) lines.push(`  ${plain(field)} ${plain(message)}`);
  }
  const said = error.libvirt?.message;
  if (said !== undefined && !error.message.includes(said)) lines.push(`  libvirt: ${plain(said)}`);
  const hint = hintFor(error, program);
  if (hint !== undefined) lines.push(colours.paint(hint, "dim"));
  return lines.map((line) => `${line}\n`).join("");
}

/** One line for a message, as it stands in a list of several results: the first, with what it announces. */
export function shortFailure(error: unknown): string {
  return plain(oneLine(errorMessage(error))) + requestOf(error);
}

/** What is said while the server that is followed is away. */
export function awayText(reason: string): string {
  return `The server is away: ${plain(oneLine(reason))}`;
}

function oneLine(message: string): string {
  const [first = "", ...rest] = message.split("\n").map((line) => line.trim());
  return first.endsWith(":") ? `${first} ${rest.join("; ")}` : first;
}

/** Messages of our own have line breaks; what is between them may be of anybody's making. */
function lined(message: string): string {
  return message.split("\n").map(plain).join("\n");
}

function requestOf(error: unknown): string {
  if (!(error instanceof AnswerError) || error.requestId === undefined) return "";
  return ` (request ${plain(error.requestId)})`;
}

/** What is named by words, see resolve, and the command that lists it. */
const NOUNS: Readonly<Record<string, string>> = {
  VM: "vm",
  host: "host",
  operation: "operation",
  "entry of the trash": "trash",
};

/** What the user may do next. */
function hintFor({ kind, message, retryAfterS, libvirt }: VirtxError, program: string): string | undefined {
  if (kind === "unavailable" && message.startsWith("No server answers")) {
    return `Is virtxd running here? Another server is named by --server, VIRTX_API_SERVER or a profile; see ${program} help config.`;
  }
  if (kind === "denied" && message.startsWith("No server answers")) {
    return "Only root and the socket's group may open it: use sudo, or let root add you to the group " +
      "(usermod --append --groups virtx NAME), and log in anew.";
  }
  if (retryAfterS !== undefined) return `Try again in ${retryAfterS} s.`;
  const noun = kind === "not_found" && NOUNS[/^There is no ([^"]+) "/.exec(message)?.[1] ?? ""];
  if (noun) return `${program} ${noun} list shows all there are.`;
  for (const [pattern, hint] of LIBVIRT_HINTS) {
    const [found, name = ""] = pattern.exec(libvirt?.message ?? "") ?? [];
    if (found !== undefined) return hint(plain(name), program);
  }
  if (kind === "internal") return "The server's log has the details under that request.";
  return undefined;
}

/** What can be done about what libvirt and QEMU say when a guest does not start. A hint, so that it matters little if they say it otherwise. */
const LIBVIRT_HINTS: readonly (readonly [said: RegExp, hint: (name: string, program: string) => string])[] = [
  [
    /interface MTU on '([^']+)'/,
    (bridge, program) =>
      `There is no bridge ${bridge} on that host: make it there, or take another by ${program} vm update.`,
  ],
  [
    /[Nn]etwork (?:not found: no network with matching name )?'([^']+)'(?: is not active)?/,
    (network) =>
      `On that host virsh net-list --all shows its networks, and virsh net-start ${network} starts one.`,
  ],
  [
    /[Cc]annot allocate memory/,
    (_, program) =>
      `${program} host list shows which hosts have memory left, and ${program} vm migrate moves it to one.`,
  ],
  [
    /Failed to get "?(?:shared )?"?(?:write|consistent read)?"? ?lock/,
    () => "Another process has its disk open: another VM, or qemu-img.",
  ],
];
