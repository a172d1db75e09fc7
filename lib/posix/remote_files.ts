import { VirtxError } from "../model/error.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import {
  CALL_KINDS,
  type CallKind,
  type FileCall,
  type FileFacts,
  type Files,
  type Responsive,
} from "./files.ts";
import { type FileReply, type FileRequest, LISTENING, toError, type WriteGuard } from "./files_port.ts";
import { Lane, type PendingCall } from "./lane.ts";
import type { FileIdentity, MountedFile } from "./libc.ts";

/** How many calls of a kind are open at a time; with the probe fewer than the 32 threads that a Worker has. */
const PLACES: Readonly<Record<CallKind, number>> = { read: 12, write: 12, bulk: 6 };
/** How many may wait for a place. */
const MAX_WAITING = 4_000;

const TICK_MS = 500;
/** A tick that comes later than that was held up together with everything else here. */
const MAX_TICK_MS = 2 * TICK_MS;
/** How often the storage is asked for something, lest its silence go unnoticed. */
const PROBE_MS = 2_000;
/** After so long without any answer it counts as hung: with the probe, at most 10 s after it has begun to be. */
const HUNG_MS = 7_000;
/** After so long a single call is worth telling of, though others are answered. */
const SLOW_MS = 60_000;
/** What is told to wait before it tries again. */
const RETRY_AFTER_S = 10;

export interface RemoteFilesOptions {
  /** The storage, by its root: "/vms". */
  readonly root: string;
  /** Starts the Worker, which has to run {@link serveFiles}. */
  readonly worker: () => Worker;
  readonly health: Health;
  readonly log: Logger;
  /** Instead of {@link HUNG_MS}. */
  readonly hungMs?: number | undefined;
}

/**
 * The files of one storage, worked on in a Worker of its own. An isolate has 32 threads for all that blocks, and closing a file
 * blocks even its main thread; so what hangs there costs this storage only, and neither libvirt, nor HTTP, nor another storage.
 *
 * A storage that answers nothing for some seconds is known to hang: /readyz says so, what is asked for from then on is refused
 * at once, and so is what has not been begun. Reads that are open are given up. **A write is never given up**: it may take effect
 * at any time, so whoever asked for it goes on only when it has come back; then nothing that is done later, the settling of
 * the journal included, can meet it half-way. Who does not want to wait for so long uses {@link whileAnswering}.
 *
 * Errors: those of {@link Files}; VirtxError `unavailable`, if the storage hangs or has too much to do.
 */
export class RemoteFiles implements Files, Responsive, Disposable {
  readonly #o: RemoteFilesOptions;
  readonly #hungMs: number;
  readonly #lanes: Readonly<Record<CallKind, Lane>> = {
    read: new Lane("read", PLACES.read),
    write: new Lane("write", PLACES.write),
    bulk: new Lane("bulk", PLACES.bulk),
  };
  /** Who no longer waits once the storage hangs. */
  readonly #impatient = new Set<(reason: string) => void>();
  readonly #listeners = new Set<() => void>();
  readonly #timer: ReturnType<typeof setInterval>;
  #worker: Worker | undefined;
  /** What the Worker is to be asked for once it listens; undefined: it does. */
  #early: FileRequest[] | undefined;
  #lastId = 0;
  #lastTick = performance.now();
  #untilProbe = 0;
  /** For how long it is known to hang. */
  #hungFor: number | undefined;
  /** What writes depend on, or why there are none; undefined: nobody has said yet. */
  #writes: WriteGuard | VirtxError | undefined;

  constructor(options: RemoteFilesOptions) {
    this.#o = options;
    this.#hungMs = options.hungMs ?? HUNG_MS;
    this.#worker = this.#start();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Ends the Worker. Calls that are open never resolve. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#worker?.terminate();
  }

  refusal(): VirtxError | undefined {
    const reason = this.#silence();
    return reason === undefined
      ? undefined
      : new VirtxError("unavailable", reason, { retryAfterS: RETRY_AFTER_S });
  }

  async whileAnswering<T>(task: Promise<T>, describe = (reason: string) => reason): Promise<T> {
    const hung = Promise.withResolvers<never>();
    const giveUp = (reason: string) => hung.reject(new VirtxError("timeout", describe(reason)));
    this.#impatient.add(giveUp);
    try {
      return await Promise.race([task, hung.promise]);
    } finally {
      this.#impatient.delete(giveUp);
    }
  }

  /** Has the listener told each time that the storage answers again, until disposed. */
  onReturn(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /**
   * From now on has things written only while that is true, or refuses to. What is under way is not concerned, and
   * {@link writeOnce} never is: by that it comes to be known which storage this is.
   */
  restrictWrites(to: WriteGuard | VirtxError): void {
    this.#writes = to;
  }

  lstat(path: string): Promise<FileFacts | undefined> {
    return this.#call("lstat", path);
  }

  lstatDown(paths: readonly string[]): Promise<(FileFacts | undefined)[]> {
    return this.#call("lstatDown", paths);
  }

  read(path: string, limitBytes: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.#call("read", path, limitBytes);
  }

  readStart(path: string, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#call("readStart", path, bytes);
  }

  names(directory: string): Promise<string[]> {
    return this.#call("names", directory);
  }

  directories(directory: string): Promise<string[]> {
    return this.#call("directories", directory);
  }

  identity(path: string): Promise<FileIdentity | undefined> {
    return this.#call("identity", path);
  }

  mountedFile(path: string): Promise<MountedFile | undefined> {
    return this.#call("mountedFile", path);
  }

  availableBytes(path: string): Promise<number | undefined> {
    return this.#call("availableBytes", path);
  }

  isReadOnly(path: string): Promise<boolean | undefined> {
    return this.#call("isReadOnly", path);
  }

  create(path: string, mode: number): Promise<void> {
    return this.#call("create", path, mode);
  }

  write(path: string, content: Uint8Array<ArrayBuffer>, mode: number): Promise<void> {
    return this.#call("write", path, content, mode);
  }

  writeOnce(path: string, content: Uint8Array<ArrayBuffer>, mode: number): Promise<void> {
    return this.#call("writeOnce", path, content, mode);
  }

  rename(path: string, to: string): Promise<void> {
    return this.#call("rename", path, to);
  }

  link(path: string, to: string): Promise<void> {
    return this.#call("link", path, to);
  }

  unlink(path: string): Promise<boolean> {
    return this.#call("unlink", path);
  }

  mkdir(path: string, mode: number): Promise<boolean> {
    return this.#call("mkdir", path, mode);
  }

  rmdirIfEmpty(path: string): Promise<boolean> {
    return this.#call("rmdirIfEmpty", path);
  }

  syncDirectory(path: string): Promise<void> {
    return this.#call("syncDirectory", path);
  }

  syncDirectoryIfAny(path: string): Promise<void> {
    return this.#call("syncDirectoryIfAny", path);
  }

  sync(path: string): Promise<void> {
    return this.#call("sync", path);
  }

  async #call<C extends FileCall>(
    call: C,
    ...args: Parameters<Files[C]>
  ): Promise<Awaited<ReturnType<Files[C]>>> {
    const lane = this.#lanes[CALL_KINDS[call]];
    const refusal = this.#refusalOf(lane.kind);
    if (refusal) throw refusal;
    const provided = isRestricted(call) ? this.#writes : undefined;
    if (provided instanceof VirtxError) throw provided;
    if (lane.waiting >= MAX_WAITING) {
      throw new VirtxError("unavailable", `storage "${this.#o.root}" has too much to do`, {
        retryAfterS: RETRY_AFTER_S,
      });
    }
    return await this.#enter(lane, call, args, provided) as Awaited<ReturnType<Files[C]>>;
  }

  #enter(lane: Lane, call: FileCall, args: readonly unknown[], provided?: WriteGuard): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    lane.enter({ id: ++this.#lastId, call, args, provided, resolve, reject, openMs: 0 });
    this.#begin(lane);
    return promise;
  }

  #begin(lane: Lane): void {
    for (let next = lane.next(); next; next = lane.next()) {
      this.#worker ??= this.#start();
      const { id, call, args, provided } = next;
      const request: FileRequest = { id, call, args, provided };
      if (this.#early) this.#early.push(request);
      else this.#worker.postMessage(request);
    }
  }

  #start(): Worker {
    const worker = this.#o.worker();
    const early: FileRequest[] = this.#early = [];
    worker.onmessage = ({ data }: MessageEvent<FileReply | typeof LISTENING>) => {
      if (data !== LISTENING) return this.#answered(data);
      if (this.#early === early) this.#early = undefined;
      for (const request of early) worker.postMessage(request);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (this.#worker === worker) this.#lost(event.message, event.error);
    };
    return worker;
  }

  /** A defect has ended the Worker. What it was doing may have been done or not, as after a crash. */
  #lost(reason: string, error: unknown): void {
    this.#worker = undefined;
    this.#o.log.defect("the worker of a storage has ended", error ?? reason, { storage: this.#o.root });
    const open = this.#allLanes.flatMap((lane) => lane.open.map(({ id }) => lane.close(id)));
    for (const call of open) {
      call?.reject(
        new VirtxError("internal", `the worker of storage "${this.#o.root}" has ended: ${reason}`),
      );
    }
  }

  #answered(reply: FileReply): void {
    for (const lane of this.#allLanes) {
      const call = lane.close(reply.id);
      if (!call) continue;
      if ("failure" in reply) call.reject(toError(reply.failure));
      else call.resolve(reply.value);
      this.#review();
      this.#begin(lane);
      return;
    }
  }

  #tick(): void {
    const now = performance.now();
    const ms = Math.min(now - this.#lastTick, MAX_TICK_MS);
    this.#lastTick = now;
    for (const lane of this.#allLanes) lane.tick(ms);
    if (this.#hungFor !== undefined) this.#hungFor += ms;
    this.#untilProbe -= ms;
    if (this.#untilProbe <= 0) this.#probe();
    this.#review();
    this.#tellOfSlowCalls();
  }

  /**
   * Asks the storage for something that no cache answers, as lstat(2) might be. While it hangs, this is done again at growing
   * intervals: what was asked of a mount that was replaced meanwhile may never come back.
   */
  #probe(): void {
    this.#untilProbe = Math.max(PROBE_MS, this.#hungFor ?? 0);
    if (this.#lanes.read.waiting > 0) return; // what is open tells as much
    this.#enter(this.#lanes.read, "availableBytes", [this.#o.root]).catch(() => {}); // any answer is one
  }

  /** Finds out whether it hangs, and sees to what that means. */
  #review(): void {
    const { root, health, log } = this.#o;
    const reason = this.#silence();
    const cause = `storage ${root}`;
    if (reason === undefined) {
      if (!health.clear(cause)) return;
      log.warn("storage answers again", {
        storage: root,
        ms: Math.round(this.#hungMs + (this.#hungFor ?? 0)),
      });
      this.#hungFor = undefined;
      for (const listener of this.#listeners) listener();
      return;
    }
    if (health.report(cause, { reason: reason.replaceAll('"', ""), blocking: true })) {
      log.error("storage does not answer", { storage: root, reason });
    }
    this.#hungFor ??= 0;
    const refused = this.#allLanes.filter((lane) => this.#refusalOf(lane.kind))
      .flatMap((lane) => [...lane.takeWaiting(), ...(lane.kind === "read" ? lane.open : [])]);
    const error = new VirtxError("unavailable", reason, { retryAfterS: RETRY_AFTER_S });
    for (const call of refused) call.reject(error);
    // Whose own calls were just refused has better words for it than that.
    if (this.#hungFor < TICK_MS) return;
    for (const giveUp of [...this.#impatient]) giveUp(reason);
  }

  #tellOfSlowCalls(): void {
    const { root, health, log } = this.#o;
    const cause = `slow storage ${root}`;
    const slowest = [...this.#lanes.read.open, ...this.#lanes.write.open].reduce<PendingCall | undefined>(
      (longest, call) => longest && longest.openMs >= call.openMs ? longest : call,
      undefined,
    );
    if (slowest === undefined || slowest.openMs < SLOW_MS || this.#hungFor !== undefined) {
      health.clear(cause);
      return;
    }
    const reason = `storage ${root} has not finished a call (${slowest.call}) for ${
      seconds(slowest.openMs)
    } s, while others are answered`;
    if (health.report(cause, { reason, blocking: false })) {
      log.warn("storage leaves a call unanswered", { storage: root, call: slowest.call });
    }
  }

  /** Why it counts as hung. */
  #silence(): string | undefined {
    const { read, write } = this.#lanes;
    const [lane, what] = this.#isSilent(read) ? [read, "answered"] : [write, "finished a write"];
    return this.#isSilent(lane)
      ? `storage "${this.#o.root}" has not ${what} for ${seconds(lane.silentMs)} s`
      : undefined;
  }

  #isSilent({ silentMs }: Lane): boolean {
    return silentMs >= this.#hungMs;
  }

  /** Where only writes hang, reads are still answered. */
  #refusalOf(kind: CallKind): VirtxError | undefined {
    return kind === "read" && !this.#isSilent(this.#lanes.read) ? undefined : this.refusal();
  }

  get #allLanes(): readonly Lane[] {
    return Object.values(this.#lanes);
  }
}

function isRestricted(call: FileCall): boolean {
  return CALL_KINDS[call] === "write" && call !== "writeOnce";
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
