import { CONSOLE_CLOSE } from "../../api/console_protocol.ts";
import { VirtxError } from "../../model/error.ts";
import { dial } from "../console/dial.ts";
import { DEFAULT_ESCAPE, parseEscape } from "../console/escape.ts";
import { RawMode } from "../console/raw_mode.ts";
import { Session, type SessionEnd } from "../console/session.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { plain } from "../output/plain.ts";
import { findVm } from "../server/find.ts";

/** `vm console`. What the guest prints goes to the terminal as it is: it is what was asked for. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const { out, err, options, interrupts, signal, program } = context;
  const key = input.string("escape") ?? DEFAULT_ESCAPE;
  const escape = parseEscape(key);
  const cluster = await context.cluster();
  const { uuid, name } = await findVm(cluster, input.required("vm"));
  const { server } = cluster;
  const connect = (force: boolean) => (signal: AbortSignal) =>
    dial({ endpoints: server.endpoints, headers: server.headers, uuid, force, signal });
  const line = await connect(input.flag("force"))(signal);

  const isTyped = Deno.stdin.isTerminal();
  // A terminal in raw mode, where the guest may be in the middle of a line, needs to be told to begin a new one.
  const [start, finish] = isTyped ? ["\r\n", "\r\n"] : ["", "\n"];
  const say = (text: string) => {
    if (!options.quiet) {
      err.write(`${start}${err.colours.paint(`${program}: ${plain(text)}`, "dim")}${finish}`);
    }
  };
  const leaving = escape === undefined ? "" : ` Press ${key} to leave.`;
  if (isTyped) say(`Connected to the console of ${name}.${leaving}`);
  let end: SessionEnd;
  {
    using _raw = isTyped
      ? new RawMode(Deno.stdin, interrupts, (text) => out.isTerminal && out.write(text))
      : undefined;
    end = await new Session({
      // By force once: whoever takes it later has a right to it, too.
      dial: connect(false),
      input: Deno.stdin,
      output: Deno.stdout,
      isTyped,
      escape,
      say,
      signal,
    }).run(line);
  }
  return report(end, name, say);
}

function report(end: SessionEnd, name: string, say: (text: string) => void): ExitCode {
  if (end === "left") {
    say(`Left the console of ${name}.`);
    return ExitCode.ok;
  }
  const { code, reason } = end;
  if (code === CONSOLE_CLOSE.stopped || code === 1000) {
    say(`The console has ended: ${reason}`);
    return ExitCode.ok;
  }
  throw new VirtxError(
    code === CONSOLE_CLOSE.taken ? "conflict" : "refused",
    `The console has ended: ${reason}`,
  );
}
