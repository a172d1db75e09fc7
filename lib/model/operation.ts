/** The operations that leave a record in a VM's metadata (protocol.md §4), by the name of their API operation. */
export const RECORDED_OPERATIONS = ["VmBoot", "VmMigrate", "VmPause", "VmResume", "VmShutdown"] as const;
export type RecordedOperation = (typeof RECORDED_OPERATIONS)[number];

export type OperationStatus = "started" | "failed" | "completed";

/** The last operation of one kind on a VM. */
export interface Operation {
  readonly op: RecordedOperation;
  /** Start and end, UTC milliseconds; `te` is 0 while it is under way. */
  readonly ts: number;
  readonly te: number;
  readonly status: OperationStatus;
  /** Why it failed; of a migration that did not, whence it came; else empty. */
  readonly msg: string;
}
