import { inBackground } from "../model/background.ts";
import { systemClock } from "../model/clock.ts";
import type { ErrorKind } from "../model/error.ts";
import { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { Daemon } from "./daemon.ts";
import { Defects } from "./defects.ts";
import { createLogger, jsonFormat, type LogFormat, LogThreshold, textFormat } from "./log.ts";
import { LogWriter } from "./log_writer.ts";
import type { Config } from "./settings.ts";
import { listenForSignals } from "./signals.ts";
import { StartFailure } from "./start_failure.ts";
import { raiseOnDemand, type TestHooks, testHooks } from "./test_hooks.ts";

/** How long the last lines of the log may take to be written. */
const FLUSH_TIMEOUT_MS = 2_000;

/** The process ends by itself only in these ways; EX_SOFTWARE of sysexits(3), and what a shell makes of a signal. */
const CRASHED = 70;
const SIGNALLED = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * The daemon's life: start, serve until SIGTERM or SIGINT, stop in order.
 *
 * @returns undefined, or why it could not start. A second signal, and too many errors that nobody
 *   catches, end the process from within.
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
  const health = new Health();
  const defects = new Defects(health, systemClock);
  const log = createLogger({
    threshold: logLevel,
    format,
    clock: systemClock,
    write: (line) => writer.write(line),
    onDefect: (message, error) => defects.note(message, error),
  });

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
  let started = false;
  using _defects = listenForUncaught((error) => {
    log.defect("unexpected error", error);
    if (started && !defects.escaped()) return;
    log.error(started ? "ended by too many unexpected errors" : "ended by an unexpected error in the start");
    endAtOnce(CRASHED);
  });
  const hooks = testHooks(Deno.env);
  using _hook = raiseOnDemand(hooks);

  try {
    return await serve({
      config,
      version,
      log,
      logLevel,
      health,
      hooks,
      signal: stopped.signal,
      onStarted: () => started = true,
    });
  } catch (error) {
    log.defect("unexpected error", error);
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
  readonly hooks: TestHooks;
  readonly signal: AbortSignal;
  readonly onStarted: () => void;
}): Promise<ErrorKind | undefined> {
  const { config, log, signal } = o;
  log.info("starting", { version: o.version, pid: Deno.pid, libvirt: config.libvirtUri });
  const aborted = untilAborted(signal);
  const starting = Daemon.start(o);
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
  o.onStarted();
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

/**
 * Has errors told that nobody has caught. Each belongs to one piece of work, which has failed by it; the others, and the
 * guests' users, are served better by a daemon that goes on.
 */
function listenForUncaught(report: (error: unknown) => void): Disposable {
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

function logFormat({ logFormat }: Config): LogFormat {
  const terminal = Deno.stderr.isTerminal();
  if (logFormat === "json" || (logFormat === "auto" && !terminal)) return jsonFormat;
  return textFormat({ color: terminal && !Deno.env.get("NO_COLOR") });
}
