import { inBackground } from "../model/background.ts";
import { logFailure } from "../model/defect.ts";
import type { Logger } from "../model/log.ts";
import type { DiskRecords, VmRecords } from "../registry/ownership.ts";
import type { Storage } from "../storage/storage.ts";
import type { DeletedVms } from "../vm/deleted_vms.ts";

/** How often it is looked for what this host was cut off at; the first time at once. */
const SETTLE_MS = 30_000;
/** Expired entries are emptied less often. The first time comes soon, since it may find what is to be reported. */
const FIRST_TIDY_MS = 5_000;
const TIDY_MS = 600_000;

/** What is to be kept tidy. */
export interface TidyStorageOptions {
  readonly storage: Storage;
  readonly deleted: DeletedVms;
  /** Records that become ever more. */
  readonly records: readonly (DiskRecords | VmRecords)[];
  readonly log: Logger;
}

/**
 * Has what this host was cut off at in the trash settled, what has expired emptied, and records removed that nobody needs, from
 * time to time while the storage answers. Until disposed.
 */
export function keepStorageTidy({ storage, deleted, records, log }: TidyStorageOptions): Disposable {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let disposed = false;
  let tidyAt = performance.now() + FIRST_TIDY_MS;
  async function tidy(): Promise<void> {
    try {
      if (await storage.refusal() !== undefined) return;
      await deleted.settle();
      if (performance.now() < tidyAt) return;
      // At another moment than the other hosts, whose work it is too: what one has done the others find done.
      tidyAt = performance.now() + TIDY_MS * (0.8 + 0.4 * Math.random());
      await deleted.tidy();
      for (const each of records) await each.sweep();
    } catch (error) {
      logFailure(log, "warn", "cannot tidy the storage", error);
    }
  }
  function look(): void {
    inBackground(
      tidy().finally(() => {
        const untilTidy = tidyAt - performance.now();
        const ms = untilTidy > 0 && untilTidy < SETTLE_MS ? untilTidy : SETTLE_MS;
        if (!disposed) timer = setTimeout(look, ms);
      }),
    );
  }
  look();
  return {
    [Symbol.dispose]() {
      disposed = true;
      clearTimeout(timer);
    },
  };
}
