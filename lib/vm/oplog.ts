import { operationMetadata } from "../domain_xml/metadata.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import type { Clock } from "../model/clock.ts";
import { logFailure } from "../model/defect.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { Operation, RecordedOperation } from "../model/operation.ts";

/**
 * The record of each VM's last operations, kept in its libvirt metadata (protocol.md §4), where it moves with the VM.
 * A record is news, not a condition: failing to write one never fails the operation.
 */
export class Oplog {
  readonly #hypervisor: Hypervisor;
  readonly #clock: Clock;
  readonly #log: Logger;

  constructor(options: { hypervisor: Hypervisor; clock: Clock; log: Logger }) {
    this.#hypervisor = options.hypervisor;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /**
   * Runs the work between a "started" and a "completed" or "failed" record, and logs the outcome. If libvirt does not answer when
   * that is to be recorded it will not do the work either, which is not begun then.
   */
  async around(op: RecordedOperation, vm: string, work: () => Promise<void>): Promise<void> {
    const ts = this.#clock();
    const failure = await this.#record(vm, { op, ts, te: 0, status: "started", msg: "" });
    if (failure instanceof VirtxError && (failure.kind === "timeout" || failure.kind === "unavailable")) {
      throw failure;
    }
    try {
      await work();
    } catch (error) {
      await this.end(op, vm, ts, errorMessage(error));
      throw error;
    }
    await this.end(op, vm, ts);
  }

  /** Records that the operation has started; when it did. The message stays unless it fails. */
  async begin(op: RecordedOperation, vm: string, msg = ""): Promise<number> {
    const ts = this.#clock();
    await this.#record(vm, { op, ts, te: 0, status: "started", msg });
    return ts;
  }

  /** Records and logs how an operation ended that started then: why it failed, or else well. */
  async end(op: RecordedOperation, vm: string, ts: number, failure?: string, msg = ""): Promise<void> {
    const te = this.#clock();
    const status = failure === undefined ? "completed" : "failed";
    await this.#record(vm, { op, ts, te, status, msg: failure ?? msg });
    if (failure === undefined) this.#log.info("operation completed", { op, vm, ms: te - ts });
    else this.#log.warn("operation failed", { op, vm, ms: te - ts, reason: failure });
  }

  /** Whether a definition may hold a record that was never closed; a cheap look before parsing it. */
  static mayBeInterrupted(xml: string): boolean {
    return xml.includes(">started<");
  }

  /**
   * Closes records that an earlier run of virtxd left open; but for that of a migration: who settles it closes it, here or
   * at the target.
   */
  async closeInterrupted(vm: string, operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) {
      if (operation.status !== "started" || operation.op === "VmMigrate") continue;
      const msg = "interrupted: virtxd ended before it was done";
      await this.#record(vm, { ...operation, te: this.#clock(), status: "failed", msg });
    }
  }

  /** Why it could not be recorded; undefined: it was. */
  async #record(vm: string, operation: Operation): Promise<unknown> {
    try {
      await this.#hypervisor.setMetadata(vm, {
        ...operationMetadata(operation),
        live: await this.#hypervisor.isActive(vm),
      });
    } catch (error) {
      logFailure(this.#log, "warn", "cannot record operation", error, { op: operation.op, vm });
      return error;
    }
  }
}
