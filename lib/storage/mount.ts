import { v4 as newUuid } from "uuid";
import { inBackground } from "../model/background.ts";
import type { Clock } from "../model/clock.ts";
import { isDefect, logFailure } from "../model/defect.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import type { ToldStorage } from "../model/told_storage.ts";
import { errnoCode, systemReason } from "../posix/errno.ts";
import type { Files } from "../posix/files.ts";
import type { WriteGuard } from "../posix/files_port.ts";
import { FORMAT_FILE, formatFlaw } from "./storage_format.ts";
import { decodeStorageId, encodeStorageId, ID_FILE } from "./storage_id.ts";
import type { RememberedStorage, StorageMemory } from "./storage_memory.ts";

/** How often it is looked at when nobody wants to change anything. */
const LOOK_MS = 10_000;
/** What is told to wait before it tries again. */
const RETRY_AFTER_S = 10;
/** Longer than any id file, or format. */
const LIMIT_BYTES = 4_096;
const ID_MODE = 0o644;
const CAUSE = "which storage";

/** What lies where the storage is to be. */
export interface FoundStorage {
  /** Of the id file; undefined: there is none. */
  readonly id: string | undefined;
  /** Why an id file that is there says nothing. */
  readonly flaw?: string | undefined;
  /** Why this version must not write to it, by its format; see {@link formatFlaw}. */
  readonly formatFlaw?: string | undefined;
  readonly mounted: boolean;
  readonly imagesMounted: boolean;
  readonly readOnly: boolean;
}

/** What to make of it: it is a storage, it is a new one that is to get an id, or it is not to be written to. */
export type StorageVerdict =
  | { readonly id: string }
  | { readonly isNew: true }
  /** `isOther`: it is not what this host or others remember, which may be on purpose. */
  | { readonly reason: string; readonly isOther?: true };

/**
 * Whether what is found is the storage. An empty directory where a mount has failed must not pass for it: neither where this
 * host has used another one before, nor where other hosts have one already.
 *
 * @param root "/vms"
 * @param found undefined: there is no such directory, or none for images in it
 * @param remembered what this host used last
 * @param told what the other hosts have
 */
export function judgeStorage(
  root: string,
  found: FoundStorage | undefined,
  remembered: RememberedStorage | undefined,
  told: readonly ToldStorage[],
): StorageVerdict {
  if (found === undefined) return { reason: `${root} has no directory ds: is the shared storage mounted?` };
  if (found.flaw !== undefined) return { reason: `${root}/${ID_FILE} ${found.flaw}` };
  if (remembered !== undefined && found.id !== remembered.id) {
    const what = found.id === undefined ? "" : `, but ${found.id}`;
    return {
      reason: `${root} is not the storage ${remembered.id} that this host used${what}: is it mounted?`,
      isOther: true,
    };
  }
  if (remembered?.mounted && !found.mounted) {
    return {
      reason: `the storage ${remembered.id} is not mounted at ${root} any more: mount it`,
      isOther: true,
    };
  }
  if (remembered?.imagesMounted && !found.imagesMounted) {
    return { reason: `nothing is mounted at ${root}/ds any more: mount it`, isOther: true };
  }
  if (found.formatFlaw !== undefined) return { reason: `${root}/${FORMAT_FILE} ${found.formatFlaw}` };
  if (found.readOnly) return { reason: `the storage at ${root} is mounted read-only` };
  if (found.id !== undefined) return { id: found.id };
  const [other] = told;
  if (other === undefined) return { isNew: true };
  return {
    reason: `${root} is not the cluster's storage, which is ${other.id} on ${other.host}: is it mounted?`,
    isOther: true,
  };
}

/** Which storage the host has, and whether that is there, for who is about to change something on it. */
export interface Mounted {
  /** Undefined: it is not known yet. */
  readonly id: string | undefined;
  /** Looks now; why nothing may be changed on it (VirtxError `unavailable`), undefined: it may. */
  check(): Promise<VirtxError | undefined>;
}

/** A directory that is what it is. */
export const ALWAYS_MOUNTED: Mounted = { id: undefined, check: () => Promise.resolve(undefined) };

export interface StorageMountOptions {
  /** Where the storage is: "/vms". */
  readonly root: string;
  /** What people call this host. */
  readonly host: string;
  readonly files: Pick<Files, "lstat" | "read" | "mountedFile" | "isReadOnly" | "writeOnce">;
  /** Has things written only while that is true, or not at all; see RemoteFiles. */
  readonly restrictWrites: (to: WriteGuard | VirtxError) => void;
  readonly memory: StorageMemory;
  /** What the other hosts have, whether they are alive or not; none: this host is alone. */
  readonly told: () => Promise<readonly ToldStorage[]>;
  /** Has the others told which storage this host remembers; undefined: none, so that it does not stand in the way of a new one. */
  readonly tell: (id: string | undefined) => void;
  readonly clock: Clock;
  readonly health: Health;
  readonly log: Logger;
}

/**
 * The shared storage as something that can be mounted, or not, or be another one than before: it has an id, in a file on the
 * storage itself, which this host remembers. It may be kept by a later version, too ({@link FORMAT_FILE}). It is looked at before each change and every ten seconds, and nothing is written
 * while it is not there. It is good again by itself when it is back.
 *
 * Nothing is held open for it: even a descriptor that can neither read nor write keeps umount(8) from working. That the
 * path leads to the same storage is seen by the mount and the content of its id file.
 */
export class StorageMount implements Mounted, Disposable {
  readonly #o: StorageMountOptions;
  readonly #listeners = new Set<() => void>();
  readonly #timer: ReturnType<typeof setInterval>;
  #id: string | undefined;
  #refusal: VirtxError | undefined;
  #looking: Promise<VirtxError | undefined> | undefined;
  /** As the file has it, unless that could not be written. */
  #remembered: RememberedStorage | undefined;
  #isKept = true;

  constructor(options: StorageMountOptions) {
    this.#o = options;
    this.#timer = setInterval(() => inBackground(this.check()), LOOK_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  get id(): string | undefined {
    return this.#id;
  }

  /** Why nothing may be changed on it, as it was found last; undefined: it may. */
  get refusal(): VirtxError | undefined {
    return this.#refusal;
  }

  async check(): Promise<VirtxError | undefined> {
    this.#looking ??= this.#look().finally(() => this.#looking = undefined);
    return await this.#looking;
  }

  /** Has the listener told each time that the storage is there after it was not, until disposed. */
  onReturn(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  async #look(): Promise<VirtxError | undefined> {
    const { root, files, clock, memory } = this.#o;
    try {
      // Somebody may have removed the file, so that another storage is taken.
      if (this.#isKept && (this.#id === undefined || this.#refusal)) this.#expect(await memory.read());
      let found = await this.#find();
      let verdict = await this.#judge(found);
      if ("isNew" in verdict) {
        await files.writeOnce(this.#idFile, encodeStorageId(newUuid(), clock()), ID_MODE);
        found = await this.#find(); // another host may have been faster
        verdict = await this.#judge(found);
      }
      if (found && "id" in verdict) return await this.#accept({ ...found, id: verdict.id });
      if (!("reason" in verdict)) return this.#refuse(`${this.#idFile} does not stay`);
      const hint = `if it was replaced on purpose, remove ${memory.path} on each host that had the other one`;
      return this.#refuse(verdict.isOther ? `${verdict.reason} (${hint})` : verdict.reason);
    } catch (error) {
      if (isDefect(error)) throw error;
      // That it hangs is known elsewhere, and says nothing about what it is.
      if (error instanceof VirtxError && errnoCode(error) === undefined && this.#id !== undefined) {
        return error;
      }
      return this.#refuse(`the storage at ${root} cannot be used: ${systemReason(error)}`);
    }
  }

  async #judge(found: FoundStorage | undefined): Promise<StorageVerdict> {
    const verdict = judgeStorage(this.#o.root, found, this.#remembered, []);
    if (!("isNew" in verdict)) return verdict;
    return judgeStorage(this.#o.root, found, this.#remembered, await this.#o.told());
  }

  async #find(): Promise<(FoundStorage & { readonly guard: WriteGuard | undefined }) | undefined> {
    const { root, host, files } = this.#o;
    // What cannot be looked at says why in this way alone; the point has a symbolic link at the root followed.
    if (!(await files.lstat(`${root}/.`)) || !(await files.lstat(`${root}/ds/.`))) return undefined;
    const [at, images, file, content, format, isReadOnly] = await Promise.all([
      files.mountedFile(`${root}/.`),
      files.mountedFile(`${root}/ds/.`),
      files.mountedFile(this.#idFile),
      files.read(this.#idFile, LIMIT_BYTES),
      files.read(`${root}/${FORMAT_FILE}`, LIMIT_BYTES),
      files.isReadOnly(root),
    ]);
    const decoded = content && decodeStorageId(content);
    return {
      id: decoded && "id" in decoded ? decoded.id : undefined,
      flaw: decoded && "flaw" in decoded ? decoded.flaw : undefined,
      formatFlaw: formatFlaw(format, host),
      mounted: at?.isMountRoot ?? false,
      imagesMounted: images?.isMountRoot ?? false,
      readOnly: isReadOnly ?? false,
      guard: file &&
        { path: this.#idFile, mountId: file.mountId, device: file.device, modified: file.modified },
    };
  }

  async #accept(
    { id, mounted, imagesMounted, guard }: RememberedStorage & { readonly guard: WriteGuard | undefined },
  ): Promise<undefined> {
    const { root, health, log, restrictWrites } = this.#o;
    await this.#remember({ id, mounted, imagesMounted });
    if (guard) restrictWrites(guard);
    const isNews = this.#id !== id;
    this.#id = id;
    if (isNews) log.info("this is the storage", { storage: root, id, mounted });
    this.#refusal = undefined;
    if (!health.clear(CAUSE)) return;
    log.warn("the storage can be changed again", { storage: root, id });
    for (const listener of this.#listeners) listener();
  }

  #refuse(reason: string): VirtxError {
    const { root, health, log, restrictWrites } = this.#o;
    const refusal = new VirtxError("unavailable", reason, { retryAfterS: RETRY_AFTER_S });
    this.#refusal = refusal;
    restrictWrites(refusal);
    if (health.report(CAUSE, { reason: `${reason}; VMs that run go on`, blocking: true })) {
      log.error("the storage cannot be used, changing nothing on it", { storage: root, reason });
    }
    return refusal;
  }

  #expect(storage: RememberedStorage | undefined): void {
    const isNews = storage?.id !== this.#remembered?.id;
    this.#remembered = storage;
    if (isNews) this.#o.tell(storage?.id);
  }

  async #remember(storage: RememberedStorage): Promise<void> {
    const { memory, health, log } = this.#o;
    const known = this.#remembered;
    this.#expect(storage);
    const isKnown = known?.id === storage.id && known.mounted === storage.mounted &&
      known.imagesMounted === storage.imagesMounted;
    if (isKnown && this.#isKept) return;
    try {
      await memory.write(storage);
      this.#isKept = true;
      health.clear(memory.path);
    } catch (error) {
      this.#isKept = false;
      const reason = `which storage this host uses cannot be kept in ${memory.path}: ${errorMessage(error)}`;
      if (health.report(memory.path, { reason, blocking: false })) {
        logFailure(log, "warn", "cannot remember the storage", error);
      }
    }
  }

  get #idFile(): string {
    return `${this.#o.root}/${ID_FILE}`;
  }
}
