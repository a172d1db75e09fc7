/**
 * What went wrong, as a closed set that every layer shares. The API turns each kind into one HTTP status
 * (protocol.md §1); nothing else decides statuses.
 */
export type ErrorKind =
  | "invalid" // the request breaks a rule that it can be told about: 400
  | "denied" // the caller may not: 403
  | "not_found" // no such VM, host or operation: 404
  | "cancelled" // somebody asked for it to be given up: 409
  | "duplicate" // another has that name: 409
  | "stale" // what was read before has changed since: 412
  | "conflict" // wrong state for this, or taken by another: 422
  | "refused" // libvirt said no: 424
  | "internal" // a defect of ours: 500
  | "unimplemented" // the request asks for what this cluster cannot do: 501
  | "unreachable" // another host could not be reached: 502
  | "unavailable" // libvirt, Serf or the host is away; worth retrying: 503
  | "timeout" // it took too long: 504
  | "storage" // storage could not be provisioned: 507
  | "loop"; // a proxied request came back: 508

/** One broken rule: the field's path in the request (`vmdef.disks[0].path`) and the rule in words. */
export interface FieldIssue {
  readonly field: string;
  readonly message: string;
}

/** libvirt's own words (struct _virError): numeric code, domain (subsystem) and level, and the message. */
export interface LibvirtReason {
  readonly code: number;
  readonly domain: number;
  readonly level: number;
  readonly message: string;
}

/** What a {@link VirtxError} may carry beside its kind and message. */
export interface ErrorDetails {
  readonly cause?: unknown;
  /** The fields at fault, for kind `invalid`. */
  readonly issues?: readonly FieldIssue[];
  readonly libvirt?: LibvirtReason;
  /** When a retry has a chance, in seconds (RFC 9110 §10.2.3); for kind `unavailable`. */
  readonly retryAfterS?: number;
}

/** The only error that virtxd throws on purpose. The message says what could not be done and why, with names. */
export class VirtxError extends Error {
  override readonly name = "VirtxError";
  readonly kind: ErrorKind;
  readonly issues: readonly FieldIssue[];
  readonly libvirt: LibvirtReason | undefined;
  readonly retryAfterS: number | undefined;

  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.issues = details.issues ?? [];
    this.libvirt = details.libvirt;
    this.retryAfterS = details.retryAfterS;
  }

  /** Whether it is a fault of virtxd itself; not one that another host, or the operating system, has told of. */
  get isDefect(): boolean {
    return this.kind === "internal" && !(this.cause instanceof VirtxError && !this.cause.isDefect);
  }

  /** The same failure told from further out: kind, issues and reason stay, the message grows a prefix. */
  static wrap(error: unknown, message: string): VirtxError {
    if (!(error instanceof VirtxError)) {
      return new VirtxError("internal", `${message}: ${errorMessage(error)}`, { cause: error });
    }
    return new VirtxError(error.kind, `${message}: ${error.message}`, {
      cause: error,
      issues: error.issues,
      ...(error.libvirt && { libvirt: error.libvirt }),
      ...(error.retryAfterS !== undefined && { retryAfterS: error.retryAfterS }),
    });
  }
}

/** Whether it says that something, such as another's answer, is not what it should be. */
export function isInvalid(error: unknown): boolean {
  return error instanceof VirtxError && error.kind === "invalid";
}

/** The message of anything that was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
