import { problemError } from "../../api/answer_error.ts";
import { VirtxError } from "../../model/error.ts";
import type { Fields } from "./fields.ts";

/** What has become of a change. */
export type OperationState = "running" | "completed" | "failed" | "cancelled";

/** How far a change has come. */
export interface Progress {
  /** MiB. */
  readonly total: number;
  readonly done: number;
  /** MiB/s; 0: not known. */
  readonly rate: number;
  /** Milliseconds; 0: not known. */
  readonly timeleft: number;
}

/** A change that was asked for, as OperationGet has it. */
export interface OperationItem {
  readonly id: string;
  /** What was asked for: "VmCreate". */
  readonly op: string;
  /** UUIDs of its VM and of the host that carries it out. */
  readonly vm: string;
  readonly host: string;
  readonly state: OperationState;
  /** UTC milliseconds; `ended` is 0 while it is under way. */
  readonly started: number;
  readonly ended: number;
  /** Why it failed, or was cancelled. */
  readonly error: VirtxError | undefined;
  readonly result: unknown;
  readonly progress: Progress | undefined;
}

const STATES: readonly OperationState[] = ["running", "completed", "failed", "cancelled"];

/** Reads an operation. */
export function readOperation(operation: Fields): OperationItem {
  const state = STATES.find((state) => state === operation.raw("state"));
  if (state === undefined) {
    throw new VirtxError(
      "internal",
      "The server's answer has an operation in a state that is not known here",
    );
  }
  return {
    id: operation.text("id"),
    op: operation.text("op"),
    vm: operation.text("vm"),
    host: operation.text("host"),
    state,
    started: operation.number("started"),
    ended: operation.number("ended"),
    error: problemError(operation.raw("error")),
    result: operation.raw("result"),
    progress: operation.raw("progress") === undefined
      ? undefined
      : readProgress(operation.object("progress")),
  };
}

function readProgress(progress: Fields): Progress {
  return {
    total: progress.number("total"),
    done: progress.number("done"),
    rate: progress.number("rate"),
    timeleft: progress.number("timeleft"),
  };
}
