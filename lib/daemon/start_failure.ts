import { type ErrorKind, errorMessage, VirtxError } from "../model/error.ts";

/** Why the daemon could not start, and what somebody can do about it. */
export class StartFailure extends Error {
  override readonly name = "StartFailure";

  constructor(readonly kind: ErrorKind, message: string, readonly hint: string, cause?: unknown) {
    super(message, { cause });
  }
}

/** One step of the start: what it throws on purpose becomes a {@link StartFailure} with this hint. */
export async function step<T>(hint: string, task: () => T | Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (error instanceof StartFailure) throw error;
    const expected = error instanceof VirtxError ? error.kind : systemFailure(error);
    if (expected === undefined || expected === "internal") throw error;
    throw new StartFailure(expected, errorMessage(error), hint, error);
  }
}

/** Failures of the operating system that say something about the host rather than about us. */
function systemFailure(error: unknown): ErrorKind | undefined {
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return "denied";
  }
  return error instanceof Deno.errors.NotFound ? "unavailable" : undefined;
}
