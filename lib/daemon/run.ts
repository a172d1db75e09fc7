import { inBackground } from "../model/background.ts";
import { systemClock } from "../model/clock.ts";
import { type ErrorKind, errorMessage } from "../model/error.ts";
import { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { Daemon } from "./daemon.ts";
import { createLogger, jsonFormat, type LogFormat, LogThreshold, textFormat } from "./log.ts";
import { LogWriter } from "./log_writer.ts";
import type { Config } from "./settings.ts";
import { listenForSignals } from "./signals.ts";
import { StartFailure } from "./start_failure.ts";
import { testHooks } from "./test_hooks.ts";

/** How long the last lines of the log may take to be written. */
const FLUSH_TIMEOUT_MS = 2_000;

/** The process ends by itself only in these ways; EX_SOFTWARE of sysexits(3), and what a shell makes of a signal. */
const CRASHED = 70;
const SIGNALLED = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * The daemon's life: start, serve until SIGTERM or SIGINT, stop in order.
 *
 * @returns undefined, or why it could not start. A second signal, or a defect, ends the process from within.
 */
export async function runDaemon(config: Config, version: string): Promise<ErrorKind | undefined> {
  const logLevel = new LogThreshold(config.logLevel);
  const format = logFormat(config);
  const writer = new LogWriter(Deno.stderr, (count) =>
    format({
      time: systemClock(),
      level: "warn",
      message: "log lines lost, as nobody read them",
      fields: { count },
    }) + "\n");
  const log = createLogger({
    threshold: logLevel,
    format,
    clock: systemClock,
    write: (line) => writer.write(line),
  });

  const health = new Health();
  const endAtOnce = (code: number) => {
    inBackground(writer.flush(FLUSH_TIMEOUT_MS).finally(() => Deno.exit(code)));
  };
  const stopped = new AbortController();
  using _signals = listenForSignals({
    stop(signal) {
      log.info("stopping", { signal });
      stopped.abort();
    },
    stopAtOnce(signal) {
      log.warn("ended at once by a second signal", { signal });
      endAtOnce(signal === "SIGINT" ? SIGNALLED.SIGINT : SIGNALLED.SIGTERM);
    },
    toggleDebug() {
      log.info("log level changed", { level: logLevel.toggleDebug() });
    },
  });
  using _defects = listenForDefects(log, () => endAtOnce(CRASHED));

  try {
    return await serve({ config, version, log, logLevel, health, signal: stopped.signal });
  } catch (error) {
    logDefect(log, error);
    return "internal";
  } finally {
    await writer.flush(FLUSH_TIMEOUT_MS);
  }
}

async function serve(o: {
  readonly config: Config;
  readonly version: string;
  readonly log: Logger;
  readonly logLevel: LogThreshold;
  readonly health: Health;
  readonly signal: AbortSignal;
}): Promise<ErrorKind | undefined> {
  const { config, log, signal } = o;
  log.info("starting", { version: o.version, pid: Deno.pid, libvirt: config.libvirtUri });
  const aborted = untilAborted(signal);
  const starting = Daemon.start({ ...o, hooks: testHooks(Deno.env) });
  let daemon: Daemon | undefined;
  try {
    starting.catch(() => {}); // nobody waits for it any more once the signal has come
    daemon = await Promise.race([starting, aborted]);
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    log.error("cannot start", { reason: error.message, hint: error.hint });
    return error.kind;
  }
  if (daemon === undefined) return undefined; // nothing is served yet, and what is half done is in the journal
  const ms = Math.round(performance.now());
  log.info("ready", { addresses: daemon.addresses.join(" "), ms });
  await aborted;
  const since = performance.now();
  const inOrder = await daemon.stop(config.shutdownTimeout);
  log[inOrder ? "info" : "warn"](inOrder ? "stopped" : "stopped by the deadline, with work left undone", {
    ms: Math.round(performance.now() - since),
  });
  return undefined;
}

function untilAborted(signal: AbortSignal): Promise<undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  signal.addEventListener("abort", () => resolve(undefined), { once: true });
  return promise;
}

/** An error that nobody has caught may have left anything behind: it is logged, and the process ends. */
function listenForDefects(log: Logger, crash: () => void): Disposable {
  const report = (error: unknown) => {
    logDefect(log, error);
    crash();
  };
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    report(event.error ?? event.message);
  };
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    report(event.reason);
  };
  globalThis.addEventListener("error", onError);
  globalThis.addEventListener("unhandledrejection", onRejection);
  return {
    [Symbol.dispose]() {
      globalThis.removeEventListener("error", onError);
      globalThis.removeEventListener("unhandledrejection", onRejection);
    },
  };
}

function logDefect(log: Logger, error: unknown): void {
  const stack = error instanceof Error ? error.stack : undefined;
  log.error("unexpected error", { error: errorMessage(error), stack });
}

function logFormat({ logFormat }: Config): LogFormat {
  const terminal = Deno.stderr.isTerminal();
  if (logFormat === "json" || (logFormat === "auto" && !terminal)) return jsonFormat;
  return textFormat({ color: terminal && !Deno.env.get("NO_COLOR") });
}
