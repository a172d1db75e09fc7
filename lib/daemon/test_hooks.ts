import type { FaultHook } from "../model/fault.ts";
import type { Logger } from "../model/log.ts";

/** What tests turn by environment variables; nothing of it is set in production, and none of it is a setting. */
export interface TestHooks {
  /** VIRTX_TEST_ROOT: where paths that begin with /vms are found, and where this run's lock is. */
  readonly root: string | undefined;
  /**
   * VIRTX_TEST_STOP_AT: the fault point to halt at until SIGCONT, for the test to kill the process there, or to let others go
   * first; "point:2" means the second time that it is reached.
   */
  readonly stopAt: string | undefined;
  /** VIRTX_TEST_DEFECT: an error that nobody catches is raised, in the "start" or at each "SIGUSR2". */
  readonly defect: string | undefined;
}

export function testHooks(env: { get(name: string): string | undefined }): TestHooks {
  return {
    root: env.get("VIRTX_TEST_ROOT"),
    stopAt: env.get("VIRTX_TEST_STOP_AT"),
    defect: env.get("VIRTX_TEST_DEFECT"),
  };
}

/** Raises the errors of the hook, until disposed. */
export function raiseOnDemand({ defect }: TestHooks): Disposable {
  const error = () => new TypeError("a defect for a test");
  const raise = () => Promise.withResolvers().reject(error());
  if (defect === "start") {
    queueMicrotask(() => {
      throw error();
    });
  }
  if (defect !== "SIGUSR2") return { [Symbol.dispose]() {} };
  Deno.addSignalListener(defect, raise);
  return { [Symbol.dispose]: () => Deno.removeSignalListener(defect, raise) };
}

/** Halts whoever reaches the point, and says so in the log; undefined if there is no point to halt at. */
export function haltingFault({ stopAt }: TestHooks, log: Logger): FaultHook | undefined {
  if (stopAt === undefined) return undefined;
  const [wanted, times = "1"] = stopAt.split(":");
  let left = Number(times);
  return (point) => {
    if (point !== wanted || --left !== 0) return;
    log.warn("halted at a fault point", { point });
    const { promise, resolve } = Promise.withResolvers<void>();
    Deno.addSignalListener("SIGCONT", () => resolve());
    return promise;
  };
}
