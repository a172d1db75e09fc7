import type { Clock } from "../model/clock.ts";
import { inBackground } from "../model/background.ts";
import { isDefect, logFailure } from "../model/defect.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import { within } from "../model/within.ts";
import {
  type OperationControl,
  OperationCourse,
  type OperationProgress,
  unlessCancelled,
} from "./operation_course.ts";
import { OperationFile } from "./operation_file.ts";
import {
  failedBy,
  type KeptOperation,
  lineOf,
  type OperationState,
  parseLine,
  toError,
  type TrackedOperation,
} from "./operation_record.ts";
import { UnsettledChange } from "./unsettled_change.ts";

/** For how long an operation is kept once it has ended. */
const KEPT_MS = 24 * 60 * 60 * 1000;
/** The most that are kept, whatever their age; those that run are always. */
const KEPT_MAX = 10_000;
/** How long a request to cancel waits for the end. */
const CANCEL_TIMEOUT_MS = 30_000;

/** What heeds a request to be cancelled. All else is over soon, or cannot be taken back. */
const CANCELLABLE: readonly string[] = ["VmCreate", "VmUpdate", "VmMigrate"];

/** What is known of an operation when it begins. */
export interface OperationStart {
  readonly id: string;
  readonly op: string;
  readonly vm: string;
  /** Chosen by the client, so that the same request is not carried out twice. */
  readonly key?: string | undefined;
  /** Of the request: requests with one key must be the same. */
  readonly fingerprint?: string | undefined;
}

/** An operation that is under way, or that was. */
export interface OperationRun<T> {
  /** As it was when it was asked for. */
  readonly operation: TrackedOperation;
  /** Resolves when it goes on without anybody who waits, if it comes to that; undefined: it is over. */
  readonly goesOn: Promise<void> | undefined;
  /** What it brings; throws why it failed. */
  readonly done: Promise<T>;
}

/** Carries an operation out. */
export type OperationWork<T> = (control: OperationControl) => Promise<T>;

export interface OperationFilter {
  readonly vm?: string | undefined;
  readonly state?: OperationState | undefined;
  readonly limit: number;
}

export interface OperationsOptions {
  /** UUID of this host. */
  readonly host: string;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Entry extends KeptOperation {
  /** While it is under way. */
  readonly running?: { readonly course: OperationCourse; readonly done: Promise<unknown> };
}

/**
 * The operations of this host: each under an id, with its outcome, for a day. What was asked for under a key is
 * carried out once, however often it is asked for. They are kept in a file as well, and so outlast the daemon; a record is
 * news, not a condition: failing to write one never fails the operation.
 */
export class Operations implements Disposable {
  readonly #o: OperationsOptions;
  readonly #file: OperationFile | undefined;
  /** By id, in the order of their start. */
  readonly #entries = new Map<string, Entry>();
  readonly #ids = new Map<string, string>();
  readonly #interrupted = new Set<string>();
  readonly #watchers = new Set<(operation: TrackedOperation) => void>();

  /** @param kept what outlasts the daemon, and what is there already; left out: nothing does */
  constructor(
    options: OperationsOptions,
    kept?: { readonly file: OperationFile; readonly lines: readonly string[] },
  ) {
    this.#o = options;
    this.#file = kept?.file;
    const unread = kept?.lines.filter((line) => !this.#restore(line)) ?? [];
    if (unread.length > 1) { // one may be cut by a crash
      options.log.warn("operations of before cannot be read", { lines: unread.length });
    }
  }

  /** The operations that the file of that name holds, and which it goes on to keep. */
  static async open(options: OperationsOptions, path: string): Promise<Operations> {
    return new Operations(options, await OperationFile.open(path));
  }

  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
  }

  /**
   * Carries an operation out, unless one with the same key is known: then it is that one, under way, done or cancelled. One
   * that failed has changed nothing, and its cause may be gone: it is tried again.
   * @throws VirtxError conflict, if the key is known from another request
   */
  run<T>({ id, op, vm, key, fingerprint }: OperationStart, work: OperationWork<T>): OperationRun<T> {
    const known = key === undefined ? undefined : this.#known(key);
    if (known) {
      if (known.fingerprint === fingerprint) return runOf<T>(known);
      throw new VirtxError(
        "conflict",
        `The key "${key}" is that of another request, operation ${known.operation.id}: use a new one`,
      );
    }
    const { host, clock } = this.#o;
    const operation = Object.freeze<TrackedOperation>({
      id,
      op,
      vm,
      host,
      state: "running",
      started: clock(),
      ended: 0,
    });
    this.#evict();
    return runOf<T>(this.#start({ operation, key, fingerprint }, work));
  }

  get(id: string): TrackedOperation | undefined {
    this.#evict();
    return this.#entries.get(id)?.operation;
  }

  /** How far one is that is under way; undefined: that cannot be told. */
  async progress(id: string): Promise<OperationProgress | undefined> {
    return await this.#entries.get(id)?.running?.course.progress();
  }

  /**
   * Has an operation given up, and waits for its end; what it had done by then is undone.
   * @throws VirtxError not_found; conflict: it cannot be cancelled, is over, or came to another end; timeout
   */
  async cancel(id: string): Promise<TrackedOperation> {
    const what = `Cannot cancel operation ${id}`;
    const entry = this.#entries.get(id);
    if (!entry) throw new VirtxError("not_found", `${what}: no host knows it, or it is too long ago`);
    const { operation: { op, state }, running } = entry;
    if (!running) throw new VirtxError("conflict", `${what}: it has ended already (${state})`);
    if (!CANCELLABLE.includes(op)) throw new VirtxError("conflict", `${what}: ${op} cannot be cancelled`);
    this.#o.log.info("cancelling an operation", { operation: id, op, vm: entry.operation.vm });
    running.course.cancel();
    if (!await within(CANCEL_TIMEOUT_MS, running.done.catch(() => {}))) {
      throw new VirtxError("timeout", `${what}: it has not ended yet, but will as soon as it can`);
    }
    const ended = this.#entries.get(id)?.operation ?? entry.operation;
    if (ended.state === "cancelled") return ended;
    if (ended.state === "running") {
      throw new VirtxError("conflict", `${what}: it stopped half-way, and will be finished or undone soon`);
    }
    const reason = ended.error ? `: ${ended.error.message}` : "";
    throw new VirtxError("conflict", `${what}: it had come to its end before (${ended.state}${reason})`);
  }

  /** Those that pass the filter, the latest start first. */
  list({ vm, state, limit }: OperationFilter): TrackedOperation[] {
    this.#evict();
    return [...this.#entries.values()].reverse().map(({ operation }) => operation).filter((operation) =>
      (vm === undefined || operation.vm === vm) && (state === undefined || operation.state === state)
    ).slice(0, limit);
  }

  /** Has the watcher told of each start and end from now on, until disposed. */
  watch(watcher: (operation: TrackedOperation) => void): Disposable {
    this.#watchers.add(watcher);
    return { [Symbol.dispose]: () => this.#watchers.delete(watcher) };
  }

  /**
   * Goes on with the operations that the end of an earlier daemon cut off. Returns when each of them has ended, or goes on.
   * @param takeUp brings what it came to, or comes to, as the work itself would have
   */
  async settle(
    takeUp: (operation: TrackedOperation, control: OperationControl) => Promise<unknown>,
  ): Promise<void> {
    const interrupted = [...this.#interrupted].flatMap((id) => this.#entries.get(id) ?? []);
    this.#interrupted.clear();
    await Promise.all(interrupted.map(async (entry) => {
      const { done, goesOn } = runOf(this.#start(entry, (control) => takeUp(entry.operation, control)));
      await Promise.race([done.catch(() => {}), goesOn]);
      const { id, op, vm } = entry.operation;
      const state = this.#entries.get(id)?.operation.state;
      this.#o.log.info("operation was cut off by the end of virtxd", { operation: id, op, vm, state });
    }));
  }

  #start({ operation, key, fingerprint }: KeptOperation, work: OperationWork<unknown>): Entry {
    const kept = { operation, key, fingerprint };
    const course = new OperationCourse();
    const done = this.#execute(kept, course, work);
    done.catch(() => {}); // it is kept, whether or not somebody waits for it
    const entry = { ...kept, running: { course, done } };
    this.#put(entry);
    return entry;
  }

  async #execute<T>(kept: KeptOperation, course: OperationCourse, work: OperationWork<T>): Promise<T> {
    await this.#write(kept);
    let result: T;
    try {
      unlessCancelled(course, `Cannot carry ${kept.operation.op} out`);
      result = await work(course);
    } catch (error) {
      if (error instanceof UnsettledChange) {
        inBackground(this.#endWithChange(kept, error.settled));
        throw error;
      }
      const { id, op, vm } = kept.operation;
      if (isDefect(error)) {
        this.#o.log.defect("operation failed by a defect", error, { operation: id, op, vm });
      }
      await this.#end(kept, failedBy(error));
      throw error;
    }
    await this.#end(kept, { state: "completed", result });
    return result;
  }

  /** It goes on until its change has come to an end, though who asked for it was told that this takes longer. */
  async #endWithChange(kept: KeptOperation, settled: Promise<unknown>): Promise<void> {
    let outcome: Pick<TrackedOperation, "state" | "error" | "result">;
    try {
      outcome = { state: "completed", result: await settled };
    } catch (error) {
      outcome = failedBy(error);
    }
    await this.#end(kept, outcome);
  }

  async #end(
    { operation, key, fingerprint }: KeptOperation,
    outcome: Pick<TrackedOperation, "state" | "error" | "result">,
  ): Promise<void> {
    const ended = Object.freeze({ ...operation, ...outcome, ended: this.#o.clock() });
    const kept = { operation: ended, key, fingerprint };
    this.#put(kept);
    await this.#write(kept);
  }

  /** What the key stands for, unless that is worth another attempt. */
  #known(key: string): Entry | undefined {
    this.#evict();
    const entry = this.#entries.get(this.#ids.get(key) ?? "");
    return entry?.operation.state === "failed" ? undefined : entry;
  }

  #put(entry: Entry): void {
    const { operation, key } = entry;
    this.#entries.set(operation.id, entry);
    if (key !== undefined) this.#ids.set(key, operation.id);
    for (const watcher of this.#watchers) watcher(operation);
  }

  /** Forgets what is too old, or too much. */
  #evict(): void {
    const oldest = this.#o.clock() - KEPT_MS;
    let surplus = this.#entries.size - KEPT_MAX;
    for (const [id, { operation: { state, ended }, key }] of this.#entries) {
      if (surplus <= 0 && (state === "running" || ended > oldest)) return;
      if (state === "running") continue;
      this.#entries.delete(id);
      if (key !== undefined && this.#ids.get(key) === id) this.#ids.delete(key);
      surplus--;
    }
  }

  /** Whether the line can be understood. */
  #restore(line: string): boolean {
    const kept = parseLine(line);
    if (kept?.operation.host !== this.#o.host) return kept !== undefined;
    this.#put(kept);
    const { id, state } = kept.operation;
    if (state === "running") this.#interrupted.add(id);
    else this.#interrupted.delete(id);
    return true;
  }

  async #write(entry: KeptOperation): Promise<void> {
    const file = this.#file;
    if (!file) return;
    try {
      await file.append(lineOf(entry));
      if (file.length > 2 * this.#entries.size + 1_000) {
        await file.replace(() => [...this.#entries.values()].map(lineOf));
      }
    } catch (error) {
      const { id, op, vm } = entry.operation;
      logFailure(this.#o.log, "warn", "cannot keep an operation's record", error, { operation: id, op, vm });
    }
  }
}

function runOf<T>({ operation, running }: Entry): OperationRun<T> {
  if (running) return { operation, goesOn: running.course.goesOn, done: running.done as Promise<T> };
  const { error, result } = operation;
  const done = error ? Promise.reject(toError(error)) : Promise.resolve(result as T);
  done.catch(() => {}); // as with one that is under way
  return { operation, goesOn: undefined, done };
}
