import { errorMessage, VirtxError } from "../model/error.ts";
import { errnoCode, PosixError } from "./errno.ts";
import type { FileCall } from "./files.ts";

/** What the Worker that serves files is asked for; `args` are those of the operation. */
export interface FileRequest {
  readonly id: number;
  readonly call: FileCall;
  readonly args: readonly unknown[];
  /** Only if this is true; left out: at all events. */
  readonly provided?: WriteGuard | undefined;
}

/** Something is written only while a file is there as it was found: by the same mount, and not written since. */
export interface WriteGuard {
  readonly path: string;
  readonly mountId: bigint;
  /** "major:minor". */
  readonly device: string;
  readonly modified: bigint;
}

/** What it says first. A message that comes before a Worker listens may be lost, so nothing is asked for until then. */
export const LISTENING = "listening";

/** What it answers. */
export type FileReply =
  & { readonly id: number }
  & ({ readonly value: unknown } | { readonly failure: FileFailure });

/** An error as plain data. */
export interface FileFailure {
  readonly message: string;
  /** The errno's name. */
  readonly code: string | undefined;
  /** Of a VirtxError. */
  readonly kind: VirtxError["kind"] | undefined;
}

export function toFailure(error: unknown): FileFailure {
  const kind = error instanceof VirtxError ? error.kind : undefined;
  return { message: errorMessage(error), code: errnoCode(error), kind };
}

/** The error that a failure was. */
export function toError({ message, code, kind }: FileFailure): Error {
  if (code !== undefined && kind !== undefined) return new PosixError(code, message, kind);
  if (kind !== undefined) return new VirtxError(kind, message);
  return Object.assign(new Error(message), { code });
}
