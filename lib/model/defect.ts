import { VirtxError } from "./error.ts";
import type { LogFields, Logger, LogLevel } from "./log.ts";

/**
 * Whether an error is a defect of virtxd, rather than what can be expected of requests, peers, libvirt, storage and the
 * operating system. What is expected is tried again or told to whoever asked; a defect is told to who runs virtxd.
 */
export function isDefect(error: unknown): boolean {
  if (error instanceof VirtxError) return error.isDefect;
  if (error instanceof DOMException) return error.name !== "AbortError" && error.name !== "TimeoutError";
  return !isSystemError(error);
}

/** Logs why something could not be done: at that level as its reason, or as the defect that it is. */
export function logFailure(
  log: Logger,
  level: LogLevel,
  message: string,
  error: unknown,
  fields: LogFields = {},
): void {
  if (isDefect(error)) return log.defect(message, error, fields);
  log[level](message, { ...fields, reason: error instanceof Error ? error.message : String(error) });
}

/** For `catch`: lets a failure that was to be expected pass without a word, but no defect. */
export function unlessDefect(log: Logger, message: string, fields: LogFields = {}): (error: unknown) => void {
  return (error) => {
    if (isDefect(error)) log.defect(message, error, fields);
  };
}

/** What the operating system refuses: an error of Deno's for it, or one of Node's with an errno's name. */
function isSystemError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.BadResource) return false;
  if (Object.values(Deno.errors).some((kind) => error instanceof kind)) return true;
  return "code" in error && typeof error.code === "string" && /^E[A-Z0-9]+$/.test(error.code);
}
