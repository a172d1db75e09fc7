import { inBackground } from "../../model/background.ts";
import { errorMessage, VirtxError } from "../../model/error.ts";
import type { Context } from "../context.ts";
import { shortFailure } from "../failure.ts";
import { measureFor } from "../output/width.ts";
import { Live } from "../output/live.ts";
import { plain } from "../output/plain.ts";
import { progressLine, progressWords } from "../output/progress_bar.ts";
import { span } from "../output/human.ts";
import type { Cluster } from "../server/cluster.ts";
import type { OperationItem } from "../server/operations.ts";
import { delay } from "./delay.ts";
import { canAsk, readLine } from "./prompt.ts";

/** Between looks at an operation: the first, and the longest. */
const LOOK_MS = 150;
const LOOK_MAX_MS = 1_000;
/** What is done sooner needs no line of its own. */
const PATIENCE_MS = 500;
/** Lines of a pipe are this far apart. */
const LINE_MS = 5_000;
const REDRAW_MS = 250;
/** For how long a server may be away before waiting makes no sense. */
const LOST_MS = 30_000;

/** What is waited for: an operation, or something that follows one. */
interface Attended {
  /** "Starting web1". */
  readonly title: string;
  readonly since: number;
  /** The id of the operation, once it is known. */
  operation: string | undefined;
  progress: OperationItem["progress"];
}

/**
 * Waits for what was asked for, shows how it comes along, and asks at Ctrl-C what is to become of it: on a terminal lines that
 * change in place, elsewhere a line now and then.
 */
export class Attendance implements AsyncDisposable {
  readonly #context: Context;
  readonly #cluster: Cluster;
  readonly #attended = new Set<Attended>();
  readonly #live: Live;
  readonly #held = new DisposableStack();
  #asking = false;
  #lastLineMs = performance.now();

  private constructor(context: Context, cluster: Cluster, live: Live) {
    this.#context = context;
    this.#cluster = cluster;
    this.#live = this.#held.use(live);
    this.#held.use(context.interrupts.divert(() => inBackground(this.#interrupted())));
    const redraw = setInterval(() => this.#draw(), REDRAW_MS);
    this.#held.defer(() => clearInterval(redraw));
  }

  /** Attends until it is disposed. */
  static async begin(context: Context, cluster: Cluster, names: readonly string[]): Promise<Attendance> {
    return new Attendance(context, cluster, new Live(context.err, await measureFor(names)));
  }

  /**
   * Shows a title while the work lasts.
   * @param work is told where to put the operation, once there is one
   */
  async attend<T>(
    title: string,
    work: (attended: { operation: string | undefined }) => Promise<T>,
  ): Promise<T> {
    const attended: Attended = {
      title: plain(title),
      since: performance.now(),
      operation: undefined,
      progress: undefined,
    };
    this.#attended.add(attended);
    try {
      return await work(attended);
    } catch (error) {
      const { operation } = attended;
      const isLate = error === this.#context.signal.reason && error instanceof VirtxError;
      if (!isLate || operation === undefined) throw error;
      throw new VirtxError("timeout", `${error.message}; it goes on as operation ${operation}`, {
        cause: error,
      });
    } finally {
      this.#attended.delete(attended);
      if (this.#live.enabled) this.#draw();
    }
  }

  /**
   * Waits for the end of an operation.
   * @param attended what `attend` gave
   * @throws VirtxError why it failed, or was cancelled; unavailable, if it cannot be asked for any more
   */
  async end(id: string, attended: { operation: string | undefined; progress?: OperationItem["progress"] }) {
    attended.operation = id;
    let lostSince: number | undefined;
    for (let ms = LOOK_MS;; ms = Math.min(LOOK_MAX_MS, ms * 1.5)) {
      try {
        const operation = await this.#cluster.operation(id);
        lostSince = undefined;
        attended.progress = operation.progress;
        if (operation.state === "completed") return operation;
        if (operation.state !== "running") {
          throw operation.error ?? new VirtxError("internal", `Operation ${id} has ${operation.state}`);
        }
      } catch (error) {
        if (!isAway(error)) throw error;
        lostSince ??= performance.now();
        if (performance.now() - lostSince > LOST_MS) throw lost(id, error);
      }
      await delay(ms, this.#context.signal);
    }
  }

  /** Prints a line of output, above what is shown. */
  say(line: string): void {
    this.#live.above(() => this.#context.out.line(line));
  }

  /** Prints a line about a failure. */
  complain(line: string): void {
    this.#live.above(() => this.#context.err.line(line));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#held.dispose();
    return Promise.resolve();
  }

  #draw(): void {
    if (this.#context.options.quiet || this.#asking) return;
    const now = performance.now();
    const shown = [...this.#attended].filter(({ since }) => now - since > PATIENCE_MS);
    if (this.#live.enabled) {
      const width = (this.#context.err.columns ?? 80) - 1;
      this.#live.show(shown.map((one) => lineOf(one, now, width)));
    } else if (now - this.#lastLineMs > LINE_MS) {
      this.#lastLineMs = now;
      for (const { title, progress, since } of shown) {
        const state = progress === undefined ? span(now - since) : progressWords(progress);
        this.#context.err.line(`${title}: ${state.trim()}`);
      }
    }
  }

  /** Ctrl-C: what is under way goes on without this program, unless the user has it given up. */
  async #interrupted(): Promise<void> {
    const operations = [...this.#attended].flatMap(({ operation }) => operation ?? []);
    if (this.#asking || operations.length === 0 || !canAsk(this.#context)) return this.#leave(operations);
    this.#asking = true;
    this.#live.suspend();
    const { err } = this.#context;
    const them = operations.length === 1 ? "it" : "them";
    err.write(`\n${this.#whatIsUnderWay()} [c]ancel ${them}, [l]eave ${them} running, or [w]ait on? `);
    const answer = (await readLine(this.#context.signal))?.toLowerCase() ?? "l";
    if (this.#context.signal.aborted) return;
    this.#asking = false;
    this.#live.resume();
    if (answer.startsWith("c")) await this.#cancel(operations);
    else if (answer.startsWith("l")) this.#leave(operations);
  }

  #whatIsUnderWay(): string {
    const titles = [...this.#attended].filter(({ operation }) => operation !== undefined);
    return titles.length === 1
      ? `${titles[0]?.title} is under way.`
      : `${titles.length} operations are under way.`;
  }

  #leave(operations: readonly string[]): void {
    this.#live.suspend();
    const { err, program, interrupts, options } = this.#context;
    if (operations.length > 0 && !options.quiet) {
      err.line("It goes on without this program. To see what becomes of it, or to have it given up:");
      for (const id of operations) {
        err.line(`  ${program} operation wait ${id}\n  ${program} operation cancel ${id}`);
      }
    }
    interrupts.abort();
  }

  async #cancel(operations: readonly string[]): Promise<void> {
    await Promise.all(operations.map(async (id) => {
      try {
        await this.#cluster.cancel(id);
      } catch (error) {
        this.complain(`${this.#context.program}: ${shortFailure(error)}`);
      }
    }));
  }
}

function lineOf({ title, since, progress }: Attended, now: number, width: number): string {
  return progress === undefined ? `${title}  ${span(now - since)}` : progressLine(title, progress, width);
}

/** Whether asking again has a chance. */
function isAway(error: unknown): boolean {
  return error instanceof VirtxError && ["unavailable", "unreachable", "timeout"].includes(error.kind);
}

function lost(id: string, error: unknown): VirtxError {
  return new VirtxError(
    "unavailable",
    `What became of operation ${id} cannot be told: ${errorMessage(error)}\n` +
      `It may have been carried out. When the host is back: operation get ${id}`,
    { cause: error },
  );
}
