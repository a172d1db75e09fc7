import { type ErrorKind, type LibvirtReason, VirtxError } from "../model/error.ts";
import { ErrorCode } from "./constants.ts";
import type { Libvirt } from "./ffi.ts";
import { borrowString } from "./memory.ts";

/** When a caller may try again after libvirt was away, in seconds: the time to the next attempt to reconnect. */
export const RETRY_AFTER_S = 5;

// struct _virError { int code; int domain; char *message; virErrorLevel level; … }: 80 bytes on LP64. We read four.
const ERROR_SIZE = 80;
const DOMAIN_OFFSET = 4, MESSAGE_OFFSET = 8, LEVEL_OFFSET = 16;

/** What a `virErrorPtr` says. */
export function readError(error: Deno.PointerObject): LibvirtReason {
  const view = new Deno.UnsafePointerView(error);
  return {
    code: view.getInt32(),
    domain: view.getInt32(DOMAIN_OFFSET),
    level: view.getInt32(LEVEL_OFFSET),
    message: borrowString(view.getPointer(MESSAGE_OFFSET)) || "libvirt gave no reason",
  };
}

/**
 * Takes the error that the last failing call on this connection left there (virConnCopyLastError). It is this call's
 * only if nothing else has run on the connection since: {@link Connection.call} sees to that. libvirt's other place
 * for errors is the thread that ran the call, which is out of reach.
 */
export function takeConnectionError(libvirt: Libvirt, connection: Deno.PointerObject): LibvirtReason {
  const copy = new Uint8Array(ERROR_SIZE);
  const pointer = Deno.UnsafePointer.of(copy);
  if (pointer === null) throw new TypeError("An allocated buffer has no address");
  libvirt.virConnCopyLastError(connection, copy);
  try {
    return readError(pointer);
  } finally {
    libvirt.virResetError(copy);
    libvirt.virConnResetLastError(connection);
  }
}

/** libvirt's refusal in our terms; the message is libvirt's alone, for the caller to say what it was about. */
export function libvirtFailure(reason: LibvirtReason): VirtxError {
  return new VirtxError(kindOf(reason.code), reason.message, { libvirt: reason });
}

/** libvirt cannot be asked now, but perhaps later. */
export function libvirtAway(message: string, libvirt?: LibvirtReason): VirtxError {
  return new VirtxError("unavailable", message, { retryAfterS: RETRY_AFTER_S, ...(libvirt && { libvirt }) });
}

function kindOf(code: number): ErrorKind {
  switch (code) {
    case ErrorCode.noDomain:
      return "not_found";
    case ErrorCode.operationTimeout:
      return "timeout";
    default:
      return "refused";
  }
}
