import { inBackground } from "../model/background.ts";
import { logFailure } from "../model/defect.ts";
import type { Logger } from "../model/log.ts";
import type { Storage } from "../storage/storage.ts";

/** The first look comes soon, since it may find what is to be reported. */
const FIRST_MS = 5_000;
const INTERVAL_MS = 600_000;

/** Has the trash emptied of what has expired, from time to time while the storage answers. Until disposed. */
export function keepTrashTidy(storage: Storage, log: Logger): Disposable {
  let timer = setTimeout(look, FIRST_MS);
  async function tidy(): Promise<void> {
    try {
      if (await storage.refusal() === undefined) await storage.trash.tidy();
    } catch (error) {
      logFailure(log, "warn", "cannot tidy the trash", error);
    }
  }
  function look(): void {
    inBackground(
      tidy().finally(() => {
        if (disposed) return;
        // At another moment than the other hosts, whose work it is too: what one has done the others find done.
        timer = setTimeout(look, INTERVAL_MS * (0.8 + 0.4 * Math.random()));
      }),
    );
  }
  let disposed = false;
  return {
    [Symbol.dispose]() {
      disposed = true;
      clearTimeout(timer);
    },
  };
}
