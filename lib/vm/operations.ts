import { z } from "zod";
import type { Clock } from "../model/clock.ts";
import {
  type ErrorKind,
  errorMessage,
  type FieldIssue,
  type LibvirtReason,
  VirtxError,
} from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import { isUuid } from "../model/uuid.ts";
import { OperationFile } from "./operation_file.ts";

/** For how long an operation is kept once it has ended. */
const KEPT_MS = 24 * 60 * 60 * 1000;
/** The most that are kept, whatever their age; those that run are always. */
const KEPT_MAX = 10_000;
/** The longest message of a failure that is kept, in characters. */
const MESSAGE_MAX = 4_000;

export const OPERATION_STATES = ["running", "completed", "failed"] as const;
export type OperationState = (typeof OPERATION_STATES)[number];

/** A change that was asked for, from its start until a day after its end. Frozen and replaced, never changed in place. */
export interface TrackedOperation {
  /** Says its host: see operation_id.ts. */
  readonly id: string;
  /** The operation of interop.md §1. */
  readonly op: string;
  /** UUID of the VM; of one that is being created, too. */
  readonly vm: string;
  /** UUID of the host that carries it out. */
  readonly host: string;
  readonly state: OperationState;
  /** UTC milliseconds; `ended` is 0 while it is under way. */
  readonly started: number;
  readonly ended: number;
  /** Why it failed. */
  readonly error?: OperationFailure | undefined;
  /** What it brought, as plain JSON data; undefined: nothing but its completion. */
  readonly result?: unknown;
}

/** A VirtxError as plain data. */
export interface OperationFailure {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly issues?: readonly FieldIssue[] | undefined;
  readonly libvirt?: LibvirtReason | undefined;
  readonly retryAfterS?: number | undefined;
}

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
  /** What it brings; throws why it failed. */
  readonly done: Promise<T>;
}

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

interface Entry {
  readonly operation: TrackedOperation;
  readonly key: string | undefined;
  readonly fingerprint: string | undefined;
  /** While it is under way. */
  readonly done: Promise<unknown> | undefined;
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
    for (const line of kept?.lines ?? []) this.#restore(line);
  }

  /** The operations that the file of that name holds, and which it goes on to keep. */
  static async open(options: OperationsOptions, path: string): Promise<Operations> {
    return new Operations(options, await OperationFile.open(path));
  }

  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
  }

  /**
   * Carries an operation out, unless one with the same key is known: then it is that one, under way or done. One that failed
   * only because something was away is no reason not to try again.
   * @throws VirtxError conflict, if the key is known from another request
   */
  run<T>({ id, op, vm, key, fingerprint }: OperationStart, work: () => Promise<T>): OperationRun<T> {
    const known = key === undefined ? undefined : this.#known(key);
    if (known) {
      if (known.fingerprint === fingerprint) {
        return { operation: known.operation, done: outcomeOf(known) as Promise<T> };
      }
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
    const done = this.#execute({ operation, key, fingerprint }, work);
    done.catch(() => {}); // it is kept, whether or not somebody waits for it
    const entry = { operation, key, fingerprint, done };
    this.#evict();
    this.#put(entry);
    return { operation, done };
  }

  get(id: string): TrackedOperation | undefined {
    this.#evict();
    return this.#entries.get(id)?.operation;
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
   * Says of operations that the end of an earlier daemon cut off what became of them, now that half-done changes are settled
   * (VmService.recover). A creation or deletion shows in whether the VM is there; of others it is not known.
   */
  async settle(isThere: (vm: string) => boolean): Promise<void> {
    for (const id of this.#interrupted) {
      const entry = this.#entries.get(id);
      if (!entry) continue;
      const { op, vm } = entry.operation;
      const took = (op === "VmCreate" && isThere(vm)) || (op === "VmDelete" && !isThere(vm));
      if (took) await this.#end(entry, { state: "completed", result: op === "VmCreate" ? vm : {} });
      else await this.#end(entry, { state: "failed", error: interruption(op) });
      this.#o.log.info("operation was cut off by the end of virtxd", {
        operation: id,
        op,
        vm,
        completed: took,
      });
    }
    this.#interrupted.clear();
  }

  async #execute<T>(entry: Omit<Entry, "done">, work: () => Promise<T>): Promise<T> {
    await this.#write(entry);
    let result: T;
    try {
      result = await work();
    } catch (error) {
      await this.#end(entry, { state: "failed", error: failureOf(error) });
      throw error;
    }
    await this.#end(entry, { state: "completed", result });
    return result;
  }

  async #end(
    { operation, key, fingerprint }: Omit<Entry, "done">,
    outcome: Pick<TrackedOperation, "state" | "error" | "result">,
  ): Promise<void> {
    const ended = Object.freeze({ ...operation, ...outcome, ended: this.#o.clock() });
    const entry = { operation: ended, key, fingerprint, done: undefined };
    this.#put(entry);
    await this.#write(entry);
  }

  /** What the key stands for, unless that is worth another attempt. */
  #known(key: string): Entry | undefined {
    this.#evict();
    const entry = this.#entries.get(this.#ids.get(key) ?? "");
    const kind = entry?.operation.error?.kind;
    return kind === "unavailable" || kind === "timeout" || kind === "internal" ? undefined : entry;
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

  #restore(line: string): void {
    const stored = parseLine(line);
    if (!stored || stored.host !== this.#o.host) return;
    const { key, fingerprint, ...operation } = stored;
    this.#put({ operation: Object.freeze(operation), key, fingerprint, done: undefined });
    if (operation.state === "running") this.#interrupted.add(operation.id);
    else this.#interrupted.delete(operation.id);
  }

  async #write(entry: Omit<Entry, "done">): Promise<void> {
    const file = this.#file;
    if (!file) return;
    try {
      await file.append(lineOf(entry));
      if (file.length > 2 * this.#entries.size + 1_000) {
        await file.replace(() => [...this.#entries.values()].map(lineOf));
      }
    } catch (error) {
      const { id, op, vm } = entry.operation;
      this.#o.log.warn("cannot keep an operation's record", {
        operation: id,
        op,
        vm,
        reason: errorMessage(error),
      });
    }
  }
}

function outcomeOf({ operation: { error, result }, done }: Entry): Promise<unknown> {
  if (done) return done;
  if (!error) return Promise.resolve(result);
  const outcome = Promise.reject(toError(error));
  outcome.catch(() => {}); // as with one that is under way
  return outcome;
}

/** The error that the failure was. */
export function toError({ kind, message, issues, libvirt, retryAfterS }: OperationFailure): VirtxError {
  return new VirtxError(kind, message, {
    ...(issues && { issues }),
    ...(libvirt && { libvirt }),
    ...(retryAfterS !== undefined && { retryAfterS }),
  });
}

function failureOf(error: unknown): OperationFailure {
  const message = errorMessage(error).slice(0, MESSAGE_MAX);
  if (!(error instanceof VirtxError)) return { kind: "internal", message };
  const { kind, issues, libvirt, retryAfterS } = error;
  return { kind, message, issues: issues.length > 0 ? issues : undefined, libvirt, retryAfterS };
}

function interruption(op: string): OperationFailure {
  const undone = op === "VmCreate" || op === "VmDelete";
  const rest = undone ? "it was undone" : "see the VM for whether it took effect";
  return { kind: "unavailable", message: `virtxd ended before ${op} was done: ${rest}` };
}

/** What a line holds. The file is this daemon's own, or that of an earlier version. */
const Stored = z.object({
  id: z.string().refine(isUuid),
  op: z.string(),
  vm: z.string(),
  host: z.string(),
  state: z.enum(OPERATION_STATES),
  started: z.int(),
  ended: z.int(),
  error: z.custom<OperationFailure>((value) => typeof value === "object" && value !== null && "kind" in value)
    .optional(),
  result: z.unknown().optional(),
  key: z.string().optional(),
  fingerprint: z.string().optional(),
});

function lineOf({ operation, key, fingerprint }: Omit<Entry, "done">): string {
  return JSON.stringify({ ...operation, key, fingerprint });
}

function parseLine(line: string): z.output<typeof Stored> | undefined {
  try {
    return Stored.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined; // cut by a crash
  }
}
