import { VirtxError } from "../../model/error.ts";
import type { Context } from "../context.ts";

/** A read that nobody waits for any more: the runtime cannot take it back, so the next question gets what it brings. */
let pending: Promise<string | undefined> | undefined;

/**
 * Reads a line that somebody types; undefined: the input ended, or the signal was aborted.
 */
export async function readLine(signal?: AbortSignal): Promise<string | undefined> {
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const onAbort = () => resolve(undefined);
  if (signal?.aborted) return undefined;
  signal?.addEventListener("abort", onAbort);
  pending ??= readInput();
  try {
    return await Promise.race([pending, aborted]);
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

async function readInput(): Promise<string | undefined> {
  try {
    const buffer = new Uint8Array(1024);
    const count = await Deno.stdin.read(buffer);
    return count === null ? undefined : new TextDecoder().decode(buffer.subarray(0, count)).trim();
  } finally {
    pending = undefined;
  }
}

/** Whether somebody is there who can be asked. */
export function canAsk({ err }: Context): boolean {
  return err.isTerminal && Deno.stdin.isTerminal();
}

/**
 * Asks for a confirmation; whether it was given.
 * @throws VirtxError invalid, if nobody can be asked and --yes was not given
 */
export async function confirm(context: Context, question: string, yes: boolean): Promise<boolean> {
  if (yes) return true;
  if (!canAsk(context)) {
    throw new VirtxError("invalid", `${question} Nobody can be asked here: give --yes`);
  }
  context.err.write(`${question} [y/N] `);
  const answer = await readLine(context.signal);
  if (answer === undefined) context.err.line();
  context.signal.throwIfAborted();
  return /^y(es)?$/i.test(answer ?? "");
}
