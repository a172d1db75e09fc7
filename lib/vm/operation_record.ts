import { z } from "zod";
import {
  type ErrorKind,
  errorMessage,
  type FieldIssue,
  type LibvirtReason,
  VirtxError,
} from "../model/error.ts";
import { isUuid } from "../model/uuid.ts";

/** The longest message of a failure that is kept, in characters. */
const MESSAGE_MAX = 4_000;

export const OPERATION_STATES = ["running", "completed", "failed", "cancelled"] as const;
export type OperationState = (typeof OPERATION_STATES)[number];

/** A change that was asked for, from its start until a day after its end. Frozen and replaced, never changed in place. */
export interface TrackedOperation {
  /** Says its host: see host_id.ts. */
  readonly id: string;
  /** The operation of protocol.md §1. */
  readonly op: string;
  /** UUID of the VM; of one that is being created, too. */
  readonly vm: string;
  /** UUID of the host that carries it out. */
  readonly host: string;
  readonly state: OperationState;
  /** UTC milliseconds; `ended` is 0 while it is under way. */
  readonly started: number;
  readonly ended: number;
  /** Why it failed, or what was given up when it was cancelled. */
  readonly error?: OperationFailure | undefined;
  /** What it brought, as plain JSON data; undefined: nothing but its completion. */
  readonly result?: unknown;
}

/** A VirtxError as plain data. */
export interface OperationFailure {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly issues?: readonly FieldIssue[] | undefined;
  readonly libvirt?: LibvirtReason | undefined;
  readonly retryAfterS?: number | undefined;
}

/** An operation with what its request is known by. */
export interface KeptOperation {
  readonly operation: TrackedOperation;
  /** Chosen by the client, so that the same request is not carried out twice. */
  readonly key: string | undefined;
  /** Of the request: requests with one key must be the same. */
  readonly fingerprint: string | undefined;
}

/** How an operation ended that threw this. */
export function failedBy(error: unknown): Pick<TrackedOperation, "state" | "error"> {
  const message = errorMessage(error).slice(0, MESSAGE_MAX);
  if (!(error instanceof VirtxError)) return { state: "failed", error: { kind: "internal", message } };
  const { kind, issues, libvirt, retryAfterS } = error;
  return {
    state: kind === "cancelled" ? "cancelled" : "failed",
    error: { kind, message, issues: issues.length > 0 ? issues : undefined, libvirt, retryAfterS },
  };
}

/** The error that the failure was. */
export function toError({ kind, message, issues, libvirt, retryAfterS }: OperationFailure): VirtxError {
  return new VirtxError(kind, message, {
    ...(issues && { issues }),
    ...(libvirt && { libvirt }),
    ...(retryAfterS !== undefined && { retryAfterS }),
  });
}

/** What a line holds. The file is this daemon's own, or that of an earlier version. */
const Stored = z.object({
  id: z.string().refine(isUuid),
  op: z.string(),
  vm: z.string(),
  host: z.string(),
  state: z.enum(OPERATION_STATES),
  started: z.int(),
  ended: z.int(),
  error: z.custom<OperationFailure>((value) => typeof value === "object" && value !== null && "kind" in value)
    .optional(),
  result: z.unknown().optional(),
  key: z.string().optional(),
  fingerprint: z.string().optional(),
});

/** An operation as a line of an OperationFile. */
export function lineOf({ operation, key, fingerprint }: KeptOperation): string {
  return JSON.stringify({ ...operation, key, fingerprint });
}

/** What a line tells; undefined: nothing, since a crash has cut it. */
export function parseLine(line: string): KeptOperation | undefined {
  let stored;
  try {
    stored = Stored.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
  if (!stored) return undefined;
  const { key, fingerprint, ...operation } = stored;
  return { operation: Object.freeze(operation), key, fingerprint };
}
