import { awaitedLater, inBackground } from "../../model/background.ts";
import { errorMessage, VirtxError } from "../../model/error.ts";
import type { Context } from "../context.ts";
import { shortFailure } from "../failure.ts";
import { Interrupted } from "../interrupts.ts";
import type { EndingSignal } from "../interrupts.ts";
import { measureFor } from "../output/width.ts";
import { Live } from "../output/live.ts";
import { plain } from "../output/plain.ts";
import { progressLine, progressWords } from "../output/progress_bar.ts";
import { counted, span } from "../output/human.ts";
import type { Cluster } from "../server/cluster.ts";
import type { OperationItem } from "../server/operations.ts";
import { Attended, Unattended } from "./attended.ts";
import { delay } from "../../model/delay.ts";
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
/** How long an answer may take if the user leaves meanwhile, or --timeout has passed: changes are answered within a second. */
const ANSWER_MS = 2_000;

/** What of several changes is not under way, for who is asked about those that are. */
export interface Remainder {
  /** "3 done, 1 failed"; empty: nothing has ended. */
  ended(): string;
  /** How many have not begun. */
  unbegun(): number;
}

/**
 * Waits for what was asked for, and shows how it comes along: on a terminal lines that change in place, elsewhere a line now
 * and then.
 *
 * At the first Ctrl-C nothing more is begun. Then the user is asked what is to become of what is under way; a Ctrl-C in the
 * question, or behind it while things are cancelled, leaves at once. Where nobody can be asked, and at SIGTERM, the program
 * leaves. Who leaves is told what goes on, and where.
 */
export class Attendance implements AsyncDisposable {
  readonly #context: Context;
  readonly #cluster: Cluster;
  readonly #remainder: Remainder | undefined;
  readonly #attended = new Set<Attended>();
  readonly #live: Live;
  readonly #held = new DisposableStack();
  readonly #cutOff = new AbortController();
  /** Lines that wait for the end of a question. */
  #later: (() => void)[] = [];
  #lastLineMs = performance.now();
  /** Ctrl-C was pressed: nothing more is begun. */
  #stopped = false;
  /** The question that is open, and what ends it without an answer. */
  #question: { readonly answered: Promise<void>; readonly withdraw: AbortController } | undefined;
  #cancelling = false;
  #leaving = false;

  private constructor(context: Context, cluster: Cluster, live: Live, remainder: Remainder | undefined) {
    this.#context = context;
    this.#cluster = cluster;
    this.#remainder = remainder;
    this.#live = this.#held.use(live);
    this.#held.use(context.interrupts.divert((signal) => this.#interrupted(signal)));
    const redraw = setInterval(() => this.#draw(), REDRAW_MS);
    this.#held.defer(() => clearInterval(redraw));
    const { signal } = context;
    const late = () => {
      const timer = setTimeout(() => this.#cutOff.abort(signal.reason), ANSWER_MS);
      this.#held.defer(() => clearTimeout(timer));
    };
    signal.addEventListener("abort", late);
    this.#held.defer(() => signal.removeEventListener("abort", late));
  }

  /**
   * Attends until it is disposed.
   * @param names that will be shown
   * @param remainder undefined: all is begun at once
   */
  static async begin(
    context: Context,
    cluster: Cluster,
    names: readonly string[],
    remainder?: Remainder,
  ): Promise<Attendance> {
    return new Attendance(context, cluster, new Live(context.err, await measureFor(names)), remainder);
  }

  /** Whether the next of several may begin: not after Ctrl-C, nor after --timeout. While a question is open it waits. */
  async mayBegin(): Promise<boolean> {
    await this.#question?.answered;
    return !this.#stopped && !this.#context.signal.aborted;
  }

  /** Whether Ctrl-C, or SIGTERM, has kept something from being begun or waited for. */
  get interrupted(): boolean {
    return this.#stopped;
  }

  /** Whether the user has had everything cancelled that was under way. */
  get cancelling(): boolean {
    return this.#cancelling;
  }

  /** Aborted when answers are not waited for any more: later than the context's signal, for they have the operations' ids. */
  get cutOff(): AbortSignal {
    return this.#cutOff.signal;
  }

  /**
   * Shows a title while the work lasts.
   * @param work keeps the stage of what it is given up to date
   * @throws Unattended if the user leaves meanwhile; VirtxError timeout, with what goes on; what the work throws
   */
  async attend<T>(title: string, work: (attended: Attended) => Promise<T>): Promise<T> {
    const attended = new Attended(plain(title));
    this.#attended.add(attended);
    const { signal } = this.#context;
    try {
      return await work(attended);
    } catch (error) {
      if (error instanceof Interrupted) throw new Unattended(attended.stage);
      if (error === signal.reason && error instanceof VirtxError) throw late(error, attended, this.#context);
      throw error;
    } finally {
      this.#attended.delete(attended);
      if (this.#attended.size === 0) this.#question?.withdraw.abort();
      if (this.#live.enabled) this.#draw();
    }
  }

  /**
   * Waits for the end of an operation.
   * @param attended what `attend` gave
   * @throws VirtxError why it failed, or was cancelled; unavailable, if it cannot be asked for any more
   */
  async end(id: string, attended: Attended): Promise<OperationItem> {
    attended.stage = { kind: "operation", id };
    const cancelling = attended.cancelled ? awaitedLater(this.#cancel(attended, id)) : undefined;
    let lostSince: number | undefined;
    for (let ms = LOOK_MS;; ms = Math.min(LOOK_MAX_MS, ms * 1.5)) {
      try {
        const operation = await this.#cluster.operation(id);
        lostSince = undefined;
        attended.progress = operation.progress;
        if (operation.state !== "running") await cancelling;
        if (operation.state === "completed") return operation;
        if (operation.state !== "running") {
          throw operation.error ?? new VirtxError("internal", `Operation ${id} has ${operation.state}`);
        }
      } catch (error) {
        if (!isAway(error)) throw error;
        lostSince ??= performance.now();
        if (performance.now() - lostSince > LOST_MS) throw lost(id, attended, error, this.#context);
      }
      await delay(ms, this.#context.signal);
    }
  }

  /** Prints a line of output, above what is shown. */
  say(line: string): void {
    this.#print(() => this.#context.out.line(line));
  }

  /** Prints a line about a failure. */
  complain(line: string): void {
    this.#print(() => this.#context.err.line(line));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#held.dispose();
    this.#printLater();
    return Promise.resolve();
  }

  #print(print: () => void): void {
    if (this.#question === undefined) this.#live.above(print);
    else this.#later.push(print);
  }

  #printLater(): void {
    for (const print of this.#later.splice(0)) this.#live.above(print);
  }

  #draw(): void {
    if (this.#context.options.quiet || this.#question !== undefined) return;
    const now = performance.now();
    const shown = [...this.#attended].filter(({ since }) => now - since > PATIENCE_MS);
    if (this.#live.enabled) {
      this.#live.show(shown.map((one) => lineOf(one, now, this.#live)));
    } else if (now - this.#lastLineMs > LINE_MS) {
      this.#lastLineMs = now;
      for (const { title, progress, since } of shown) {
        const state = progress === undefined ? span(now - since) : progressWords(progress);
        this.#context.err.line(`${title}: ${state.trim()}`);
      }
    }
  }

  #interrupted(signal: EndingSignal): void {
    this.#stopped = true;
    const isAsked = this.#question !== undefined || this.#cancelling;
    const isUnderWay = [...this.#attended].some(({ stage }) => stage.kind !== "waiting");
    if (signal === "SIGTERM" || isAsked || this.#leaving || !isUnderWay || !canAsk(this.#context)) {
      this.#leave();
    } else inBackground(this.#ask());
  }

  /** Asks what is to become of what is under way. Nothing is printed meanwhile, lest the question be torn apart. */
  async #ask(): Promise<void> {
    const withdraw = new AbortController();
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    this.#question = { answered, withdraw };
    this.#live.suspend();
    const { err, signal } = this.#context;
    err.write(`\n${this.#questionText()} `);
    try {
      const answer = await readLine(AbortSignal.any([signal, withdraw.signal]));
      this.#question = undefined;
      if (signal.aborted || this.#leaving) return;
      if (withdraw.signal.aborted) err.line("\nAll that was under way has ended.");
      this.#live.resume();
      this.#printLater();
      if (!withdraw.signal.aborted) this.#take(answer?.toLowerCase() ?? "l");
    } catch (error) {
      this.#question = undefined;
      this.complain(`${this.#context.program}: ${shortFailure(error)}`);
      this.#leave();
    } finally {
      resolve();
    }
  }

  #take(answer: string): void {
    if (answer.startsWith("l")) this.#leave("");
    else if (answer.startsWith("g")) this.#stopped = false;
    else if (answer.startsWith("c")) {
      this.#cancelling = true;
      for (const attended of this.#attended) this.#giveUp(attended);
    } else if (this.#unbegun() === 0) this.#stopped = false; // waits on, and nothing has been kept from beginning
  }

  #unbegun(): number {
    return this.#remainder?.unbegun() ?? 0;
  }

  #questionText(): string {
    const underWay = [...this.#attended].filter(({ stage }) => stage.kind !== "waiting");
    const [first] = underWay;
    const unbegun = this.#unbegun();
    const [it, runs] = underWay.length === 1 ? ["it", "it running"] : ["them", "them running"];
    const cancel = underWay.every(({ stage }) => stage.kind === "afterwards") ? "" : `[c]ancel ${it}, `;
    if (unbegun === 0) {
      const words = first?.stage.kind === "afterwards" ? first.stage.words : undefined;
      const what = underWay.length > 1
        ? `${underWay.length} operations are under way.`
        : words !== undefined
        ? `${plain(words.still)}.`
        : `${first?.title} is under way.`;
      return `${what} ${cancel}[l]eave ${runs}, or [w]ait on?`;
    }
    const parts = [this.#remainder?.ended() ?? "", `${underWay.length} under way`, `${unbegun} not begun`];
    return `Stopped: ${parts.filter((part) => part !== "").join(", ")}. Nothing more is begun.\n` +
      `${cancel}[l]eave ${runs}, [w]ait for ${it}, or [g]o on with all?`;
  }

  /**
   * Ends the program's part in it; once more, and it does not even wait for answers that are about to come.
   * @param before what is to be written before the last words: a line break behind the ^C that the terminal shows
   */
  #leave(before = "\n"): void {
    const isHasty = this.#leaving;
    this.#leaving = true;
    this.#question?.withdraw.abort();
    const isAnswerNear = () =>
      [...this.#attended].some(({ stage, since }) =>
        stage.kind === "asked" && performance.now() - since < ANSWER_MS
      );
    if (isHasty || !isAnswerNear()) return this.#cut(before);
    const timer = setInterval(() => {
      if (isAnswerNear()) return;
      clearInterval(timer);
      this.#cut(before);
    }, LOOK_MS);
    this.#held.defer(() => clearInterval(timer));
  }

  #cut(before: string): void {
    const { err, interrupts, options, signal } = this.#context;
    if (signal.aborted) return this.#cutOff.abort(signal.reason);
    this.#live.suspend();
    const words = options.quiet ? "" : this.#goodbye();
    if (words !== "") err.write((err.isTerminal ? before : "") + words);
    interrupts.abort();
    this.#cutOff.abort(signal.reason);
  }

  /** What goes on without this program, and how to see what becomes of it. */
  #goodbye(): string {
    const { program } = this.#context;
    const lines: string[] = [];
    const running = [...this.#attended].flatMap(({ stage, title }) =>
      stage.kind === "operation" ? [{ id: stage.id, title }] : []
    );
    const [first] = running;
    if (first !== undefined && running.length === 1) {
      lines.push(
        `${first.title} goes on without this program. To wait for it, or to cancel it:`,
        `  ${program} operation wait ${first.id}`,
        `  ${program} operation cancel ${first.id}`,
      );
    } else if (running.length > 1) {
      lines.push(
        `${counted(running.length, "operation")} go on without this program.`,
        `To wait for one, or to cancel it: ${program} operation wait <id>, operation cancel <id>`,
        ...running.map(({ id, title }) => `  ${id}  ${title}`),
      );
    }
    for (const { stage, title } of this.#attended) {
      if (stage.kind === "asked") {
        lines.push(`${title}: the server has not answered yet, so it may be carried out, or not.`);
      } else if (stage.kind === "afterwards" && stage.words !== undefined) {
        lines.push(`${plain(stage.words.still)}; ${program} ${plain(stage.words.ends)} ends it.`);
      }
    }
    return lines.map((line) => `${line}\n`).join("");
  }

  /** Has something cancelled, now or as soon as its operation is known; what only follows from a change is not waited for. */
  #giveUp(attended: Attended): void {
    attended.cancelled = true;
    if (attended.stage.kind === "operation") inBackground(this.#cancel(attended, attended.stage.id));
    else if (attended.stage.kind === "afterwards") attended.givenUp.abort(new Interrupted());
  }

  /** Never fails; says so if an operation runs on. */
  async #cancel(attended: Attended, id: string): Promise<void> {
    try {
      await this.#cluster.cancel(id, { signal: this.#cutOff.signal });
    } catch (error) {
      if (this.#context.signal.aborted || !this.#attended.has(attended)) return;
      this.complain(`${attended.title} cannot be cancelled, and is waited for: ${shortFailure(error)}`);
    }
  }
}

function lineOf({ title, since, progress }: Attended, now: number, live: Live): string {
  return progress === undefined
    ? `${title}  ${span(now - since)}`
    : progressLine(title, progress, live.room.columns, (text) => live.columns(text));
}

/** Whether asking again has a chance. */
function isAway(error: unknown): boolean {
  return error instanceof VirtxError && ["unavailable", "unreachable", "timeout"].includes(error.kind);
}

/** --timeout has passed: what was not done by then, and what goes on. */
function late(cause: VirtxError, { stage, title }: Attended, { program }: Context): VirtxError {
  const { message } = cause;
  switch (stage.kind) {
    case "waiting":
      return new VirtxError("timeout", `${message}: ${title}`, { cause });
    case "asked":
      return new VirtxError(
        "timeout",
        `${message}: ${title}: the server has not answered, so it may be carried out, or not`,
        { cause },
      );
    case "operation":
      return new VirtxError(
        "timeout",
        `${message}; it goes on as operation ${stage.id}\n${title} is under way.`,
        { cause },
      );
    case "afterwards":
      return new VirtxError(
        "timeout",
        stage.words === undefined
          ? `${message}: ${title}`
          : `${message}: ${stage.words.still}; ${program} ${stage.words.ends} ends it`,
        { cause },
      );
  }
}

function lost(id: string, { title }: Attended, error: unknown, { program }: Context): VirtxError {
  return new VirtxError(
    "unavailable",
    `What became of operation ${id} (${title}) cannot be told: ${errorMessage(error)}\n` +
      `It may have been carried out. When the host is back: ${program} operation get ${id}`,
    { cause: error },
  );
}
