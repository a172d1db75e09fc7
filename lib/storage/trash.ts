import { v4 as newId } from "uuid";
import { logFailure } from "../model/defect.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { FaultHook } from "../model/fault.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { isBelow, VARIABLES_ROOT } from "../model/paths.ts";
import { AtomicDirectory } from "../posix/atomic_directory.ts";
import { errnoCode, systemReason } from "../posix/errno.ts";
import { type Files, parentOf } from "../posix/files.ts";
import { onStorage } from "../posix/storage_error.ts";
import type { Tree } from "../posix/tree.ts";
import { type FileMark, isSameFile, markOf } from "./file_mark.ts";
import { locateDisk, nameBelowRoot, pathOf, splitName } from "./location.ts";
import { entryName, entryOf, TRASH, TrashClaims } from "./trash_claims.ts";
import {
  parseTrashInfo,
  renderTrashInfo,
  TRASH_INFO_LIMIT_BYTES,
  type TrashedFile,
  type TrashInfo,
} from "./trash_info.ts";

const INFO = "info.json";
/** Nobody but virtxd has business there. */
const DIRECTORY_MODE = 0o700;
const INFO_MODE = 0o600;
/** QEMU has to get through. */
const IMAGE_DIRECTORY_MODE = 0o755;
/** The unit of st_blocks (stat(2)). */
const BLOCK_BYTES = 512;
/** The name of a file that is written to learn the time. */
const PROBE = /^\.now\.[0-9a-f-]{36}\.tmp$/;

/** How long what is to be gone at once is left to the host that is moving it; if that is cut off, others empty it then. */
const MOVING_MS = 600_000;

/** What a change takes away from storage, as it was decided. */
export interface Removal {
  /** The change, a UUID. */
  readonly id: string;
  /** The VM's UUID and name. */
  readonly vm: string;
  readonly name: string;
  /** The UUID of the host that carries it out. */
  readonly host: string;
  /** The VM's definition, if that is deleted too. */
  readonly xml: string | undefined;
  /** The files, each with its path as a definition has it, and with which file that was; always in the same order. */
  readonly files: readonly { readonly path: string; readonly mark: FileMark }[];
  /** To be gone at once. */
  readonly now: boolean;
}

/** What became of a {@link Removal}. */
export interface RemovalOutcome {
  /** What could not be removed, and why. */
  readonly failures: readonly string[];
  /** Until when it can be restored, UTC milliseconds by the storage's clock; undefined: it cannot. */
  readonly until: number | undefined;
}

/** What the trash has of a file: the one that was deleted, none any more, or another, which was never to be deleted. */
export type TrashedState = "kept" | "missing" | "foreign";

/** What was deleted by one change, as far as can be told. */
export interface TrashEntry {
  /** That of the change. */
  readonly id: string;
  /** Undefined: it cannot be read, for the reason in `damage`. */
  readonly info: TrashInfo | undefined;
  /** Empty: nothing is wrong with it. */
  readonly damage: string;
  /** A host restores or empties it just now, or was cut off while it did. */
  readonly busy: boolean;
  readonly files: readonly { readonly path: string; readonly state: TrashedState }[];
  /** What its files take on the storage. */
  readonly bytes: number;
}

/** What only those can tell who know the VMs. */
export interface KnownVms {
  /** Whether a VM is defined, on whichever host. VirtxError: it cannot be told yet. */
  isDefined(vm: string): Promise<boolean>;
  /** Those of the files that a VM has. */
  used(paths: readonly string[]): Promise<{ has(path: string): boolean }>;
}

export interface TrashOptions {
  /** /vms/ds */
  readonly tree: Tree;
  /** This host's UUID. */
  readonly hostUuid: string;
  /** How long what is deleted can be restored; 0: not at all. */
  readonly graceMs: number;
  readonly log: Logger;
  /** Where files are reported that nobody has deleted. */
  readonly health?: Health | undefined;
  /** Fault points: `recorded`, `renamed`, `linked`, `unlinked`, `moved`, `claimed`, `emptied`. */
  readonly fault: FaultHook;
}

/**
 * How files leave /vms/ds, which all hosts share, so that none goes that was not meant: a path may name another file by the
 * time at which a deletion is carried out, be it a moment or a week later. So each file is first renamed into the trash, where
 * nobody else changes it, and only there compared with what was decided. Another's is put back by link(2), which replaces
 * nothing; if its name is taken again, it is kept, and reported until somebody restores or empties it.
 *
 * What one change has deleted is an entry, the directory `.virtxd/trash/<id of the change>` with info.json and the files by
 * number. Whoever empties or restores an entry claims it ({@link TrashClaims}). Times are those of the storage's clock.
 */
export class Trash {
  readonly #o: TrashOptions;
  readonly #claims: TrashClaims;
  /** What looked unfinished at the last {@link tidy}. */
  #unfinished: ReadonlySet<string> = new Set();
  /** Entries that are reported for a file that nobody has deleted. */
  readonly #reported = new Set<string>();

  constructor(options: TrashOptions) {
    this.#o = options;
    this.#claims = new TrashClaims(options);
  }

  /** How long what is deleted can be restored; 0: not at all. */
  get graceMs(): number {
    return this.#o.graceMs;
  }

  /** Which file a path names; undefined if there is none. VirtxError `invalid` if it is no regular file. */
  async mark(path: string): Promise<FileMark | undefined> {
    const { name, directory } = imageAt(path);
    if ((await this.#tree.missing(directory)).length > 0) return undefined;
    const file = this.#tree.at(name);
    const facts = await this.#files.lstat(file);
    if (facts === undefined) return undefined;
    if (!facts.isFile) throw new VirtxError("invalid", "it is not a regular file");
    return await this.#markAt(file);
  }

  /** Takes the files of a change away. May be repeated, also after a crash at any point, and then does what is left. */
  async put(removal: Removal): Promise<RemovalOutcome> {
    const { id } = removal;
    const failures: string[] = [];
    const known = await this.#info(entryName(id));
    const files = known?.files ?? await this.#decided(removal, failures);
    if (files.length === 0) return { failures, until: undefined };
    const { graceMs, log } = this.#o;
    const isKept = graceMs > 0 && !removal.now;
    const info = known ?? await this.#record(removal, files, isKept ? graceMs : MOVING_MS);
    for (const file of files) {
      try {
        await onStorage(`Cannot delete disk "${file.path}"`, async () => {
          if (info === undefined) await this.#unlink(removal, file);
          else await this.#move(removal, file);
          await this.#prune(splitName(nameBelowRoot(file.path)).directory);
        });
      } catch (error) {
        failures.push(errorMessage(error));
        logFailure(log, "warn", "cannot remove a disk's storage", error, {
          vm: removal.vm,
          path: file.path,
        });
      }
      await this.#o.fault("moved");
    }
    if (info !== undefined && isKept) return { failures, until: info.until };
    if (info !== undefined) await this.empty(id).catch((error) => failures.push(errorMessage(error)));
    return { failures, until: undefined };
  }

  /** All entries, the oldest first; those of which that is not known come first. */
  async list(): Promise<TrashEntry[]> {
    return await onStorage("Cannot read the trash", () => this.#entries());
  }

  /**
   * Puts the files of an entry back, all or none, and calls `define` with their paths when they are there; if that fails, they
   * go again.
   * @returns the paths of the files that are back
   * @throws VirtxError not_found; conflict, if a path is taken; what `define` throws
   */
  async restore(
    id: string,
    define: (info: TrashInfo, paths: readonly string[]) => Promise<void> = () => Promise.resolve(),
  ): Promise<readonly string[]> {
    return await this.#claiming(id, "restore", async (directory) => {
      const { info, files } = await this.#whole(id, directory);
      const paths = files.map(({ path }) => path);
      await this.#requireFree(files);
      const linked: Located[] = [];
      try {
        for (const file of files) {
          await this.#tree.make(splitName(nameBelowRoot(file.path)).directory, IMAGE_DIRECTORY_MODE);
          if (await this.#link(file.trashed, file.original)) linked.push(file);
          await this.#files.syncDirectory(parentOf(file.original));
          await this.#o.fault("linked");
        }
        await define(info, paths);
      } catch (error) {
        await this.#takeBack(directory, linked);
        throw error;
      }
      for (const { trashed } of files) await this.#files.unlink(trashed);
      await this.#o.fault("emptied");
      await this.#forget(id, directory, info);
      return paths;
    });
  }

  /**
   * Removes an entry for good, but for files that nobody has deleted.
   * @param options force: those too, and what an entry has that cannot be read
   * @throws VirtxError not_found; conflict, if something is left
   */
  async empty(id: string, { force = false } = {}): Promise<void> {
    await this.#claiming(id, "empty", async (directory) => {
      const info = await this.#info(directory).catch((error) => {
        if (force) return undefined;
        throw new VirtxError("conflict", `${errorMessage(error)}; with force all that it has is removed`);
      });
      const located = info && await this.#there(id, directory, info);
      if (info && located && !force) await this.#requirePools(info, located);
      const files = located ?? await this.#numbered(directory);
      const foreign = force ? [] : files.filter(({ isForeign }) => isForeign);
      for (const file of files) if (!foreign.includes(file)) await this.#files.unlink(file.trashed);
      await this.#o.fault("emptied");
      if (foreign.length > 0) {
        const paths = foreign.map(({ path }) => `"${path}"`).join(", ");
        throw new VirtxError(
          "conflict",
          `what was at ${paths} is not what was deleted; restore it, or empty it by force`,
        );
      }
      await this.#forget(id, directory, info);
    });
  }

  /**
   * Ends what this host was cut off at, when virtxd or the host itself ended: a restore that had come to its end but for the
   * tidying is finished; of another, what is back goes again unless a VM has it by now, and the entry can be restored or emptied.
   * @returns whether all is ended; else it can be tried again
   */
  async settle(vms: KnownVms): Promise<boolean> {
    return await onStorage("Cannot settle the trash", async () => {
      let isSettled = true;
      for (const left of await this.#claims.left()) {
        const { id } = left;
        try {
          await this.#claims.takeUp(left, async (directory) => {
            const isOver = await this.#end(id, directory, vms);
            this.#o.log.info("settled work on the trash that was cut off", { entry: id, finished: isOver });
            return isOver;
          });
        } catch (error) {
          isSettled = false;
          logFailure(this.#o.log, "warn", "cannot settle work on the trash that was cut off yet", error, {
            entry: id,
          });
        }
      }
      return isSettled;
    });
  }

  /**
   * Empties what has expired, gives back what a host claimed that was cut off, and reports files that nobody has deleted. Any
   * host may do that at any time.
   */
  async tidy(): Promise<void> {
    await onStorage("Cannot tidy the trash", () => this.#tidy());
  }

  /**
   * Makes room by removing entries that could still be restored, the oldest first: at least one, and until `enough` says so.
   * @returns whether there was any
   */
  async makeRoom(enough: () => Promise<boolean>): Promise<boolean> {
    let removed = false;
    for (const { id, info, busy, bytes, files } of await this.list()) {
      const isTakeable = info !== undefined && !busy && bytes > 0;
      if (!isTakeable || files.some(({ state }) => state === "foreign")) continue;
      if (removed && await enough()) break;
      if (await this.#emptyExpired(id, info, "the trash makes room for a new disk")) removed = true;
    }
    return removed;
  }

  /** The files that are still there to be taken away; of another that is there instead, nothing but a line in the log. */
  async #decided(removal: Removal, failures: string[]): Promise<TrashedFile[]> {
    const files: TrashedFile[] = [];
    for (const [n, { path, mark }] of removal.files.entries()) {
      try {
        const found = await this.mark(path);
        if (found === undefined) continue;
        if (isSameFile(found, mark)) {
          const pool = await this.#poolOf(imageAt(path).directory);
          files.push({ n, path, sizeBytes: mark.bytes, mark, pool });
        } else this.#tellOfAnother(removal, path);
      } catch (error) {
        failures.push(`Cannot delete disk "${path}": ${systemReason(error)}`);
      }
    }
    return files;
  }

  /** Begins an entry; undefined: there is no room even for that, nor can any be made. */
  async #record(
    { id, vm, name, host, xml }: Removal,
    files: readonly TrashedFile[],
    graceMs: number,
  ): Promise<TrashInfo | undefined> {
    try {
      const deletedAt = await this.#now();
      const until = deletedAt + graceMs;
      const content = renderTrashInfo({
        vm,
        name,
        host,
        deletedAt,
        until,
        ...(xml !== undefined && { xml }),
        files,
      });
      await this.#entryFiles(entryName(id)).write(INFO, () => content, INFO_MODE);
      for (const { pool } of files) {
        if (pool !== "") await this.#tree.make(`${pool}/${entryName(id)}`, DIRECTORY_MODE);
      }
      await this.#o.fault("recorded");
      return parseTrashInfo(content);
    } catch (error) {
      if (!isFull(error)) throw error;
      if (await this.makeRoom(() => Promise.resolve(true))) {
        return await this.#record({ id, vm, name, host, xml, files, now: false }, files, graceMs);
      }
      this.#o.log.warn("the storage is so full that nothing can be kept in its trash", { vm });
      return undefined;
    }
  }

  /** Moves one file into the trash, and puts it back if it turns out to be another. */
  async #move(removal: Removal, file: TrashedFile): Promise<void> {
    const path = this.#tree.at(nameBelowRoot(file.path));
    const trashed = this.#tree.at(trashedName(removal.id, entryName(removal.id), file));
    if (await this.#files.lstat(trashed) === undefined) {
      if (!await this.#isStill(removal, file)) return;
      try {
        await this.#files.rename(path, trashed);
      } catch (error) {
        // A directory that is bound elsewhere has the device of its file system, so its trash cannot be told.
        if (errnoCode(error) !== "EXDEV") throw error;
        return await this.#unlink(removal, file);
      }
      await this.#o.fault("renamed");
    }
    await this.#files.syncDirectory(parentOf(trashed));
    await this.#files.syncDirectoryIfAny(parentOf(path));
    if (isSameFile(await this.#markAt(trashed), file.mark)) {
      this.#o.log.info("disk deleted", { path: file.path, change: removal.id });
    } else await this.#putBack(removal, file, trashed, path);
  }

  /**
   * Removes a file that cannot be moved into the trash. All that protects another one is that the comparison is made just
   * before: a file that gets the path within that moment is lost.
   */
  async #unlink(removal: Removal, file: TrashedFile): Promise<void> {
    if (!await this.#isStill(removal, file)) return;
    const path = this.#tree.at(nameBelowRoot(file.path));
    await this.#files.unlink(path);
    await this.#files.syncDirectory(parentOf(path));
    this.#o.log.warn("disk deleted at once, as it cannot be moved into the trash", {
      path: file.path,
      change: removal.id,
    });
  }

  /** Whether a path still has the file that is to go; none is fine. */
  async #isStill(removal: Removal, { path, mark }: TrashedFile): Promise<boolean> {
    const found = await this.mark(path);
    if (found === undefined) return false;
    if (isSameFile(found, mark)) return true;
    this.#tellOfAnother(removal, path);
    return false;
  }

  async #putBack(removal: Removal, file: TrashedFile, trashed: string, path: string): Promise<void> {
    this.#tellOfAnother(removal, file.path);
    try {
      await this.#tree.make(splitName(nameBelowRoot(file.path)).directory, IMAGE_DIRECTORY_MODE);
      await this.#link(trashed, path);
    } catch (error) {
      if (errnoCode(error) !== "EEXIST") throw error;
      const { log } = this.#o;
      log.error("a file that nobody has deleted is kept in the trash, as its name is taken", {
        path: file.path,
        entry: removal.id,
      });
      return this.#reportForeign(removal.id, [file.path]);
    }
    await this.#o.fault("linked");
    await this.#files.syncDirectory(parentOf(path));
    await this.#files.unlink(trashed);
    await this.#o.fault("unlinked");
    await this.#files.syncDirectory(parentOf(trashed));
  }

  #tellOfAnother({ vm, id }: Removal, path: string): void {
    this.#o.log.warn("a disk stays: another file has its path than the one that was deleted", {
      vm,
      path,
      change: id,
    });
  }

  /** Removes the directories that a file has left empty, but never /vms/ds itself; where storage is mounted, none can go. */
  async #prune(directory: string): Promise<void> {
    for (let at = directory; at !== "" && pathOf(at) !== VARIABLES_ROOT; at = splitName(at).directory) {
      if (!await this.#files.rmdirIfEmpty(this.#tree.at(at))) return;
    }
  }

  /** The directory at or above this one at which its file system is mounted; empty: that is the one of /vms/ds. */
  async #poolOf(directory: string): Promise<string> {
    const deviceAt = async (path: string) => (await this.#files.identity(path))?.device;
    const own = directory === "" ? undefined : await deviceAt(this.#tree.at(directory));
    if (own === undefined || own === await deviceAt(this.#tree.root)) return "";
    let pool = directory;
    for (let at = splitName(directory).directory; at !== ""; at = splitName(at).directory) {
      if (await deviceAt(this.#tree.at(at)) !== own) break;
      pool = at;
    }
    return pool;
  }

  async #entries(): Promise<TrashEntry[]> {
    const entries: TrashEntry[] = [];
    for (const name of (await this.#tree.directories(TRASH)).sort()) {
      const id = entryOf(name);
      const entry = id === undefined ? undefined : await this.#entry(id, `${TRASH}/${name}`);
      if (entry !== undefined) entries.push(entry);
    }
    return entries.sort((a, b) => (a.info?.deletedAt ?? 0) - (b.info?.deletedAt ?? 0));
  }

  /** Undefined: it is gone meanwhile. */
  async #entry(id: string, directory: string): Promise<TrashEntry | undefined> {
    const busy = directory !== entryName(id);
    try {
      const info = await this.#info(directory);
      if (info === undefined) {
        if (await this.#files.lstat(this.#tree.at(directory)) === undefined) return undefined;
        return { id, info, damage: "it has no info.json", busy, files: [], bytes: 0 };
      }
      const located = await this.#there(id, directory, info);
      const files = info.files.map(({ n, path }) => {
        const found = located.find((file) => file.n === n);
        const state: TrashedState = found === undefined ? "missing" : found.isForeign ? "foreign" : "kept";
        return { path, state };
      });
      return { id, info, damage: "", busy, files, bytes: located.reduce((sum, { bytes }) => sum + bytes, 0) };
    } catch (error) {
      if (!(error instanceof VirtxError) && errnoCode(error) === undefined) throw error;
      return { id, info: undefined, damage: systemReason(error), busy, files: [], bytes: 0 };
    }
  }

  /** Those files of an entry that the trash has. */
  async #there(id: string, directory: string, info: TrashInfo): Promise<Located[]> {
    const located: Located[] = [];
    for (const file of info.files) {
      const name = trashedName(id, directory, file);
      await this.#tree.missing(splitName(name).directory);
      const trashed = this.#tree.at(name);
      const facts = await this.#files.lstat(trashed);
      if (facts === undefined) continue;
      const isForeign = !facts.isFile || !isSameFile(await this.#markAt(trashed), file.mark);
      const original = this.#tree.at(imageAt(file.path).name);
      located.push({ ...file, trashed, original, isForeign, bytes: facts.blocks * BLOCK_BYTES });
    }
    return located;
  }

  /** The files of an entry whose info cannot be read. */
  async #numbered(directory: string): Promise<Pick<Located, "trashed" | "path" | "isForeign">[]> {
    const names = await this.#files.names(this.#tree.at(directory));
    return names.map((name) => ({
      trashed: this.#tree.at(`${directory}/${name}`),
      path: name,
      isForeign: false,
    }));
  }

  /** Where a file system is not mounted, what the trash has on it only seems to be gone. */
  async #requirePools(info: TrashInfo, there: readonly TrashedFile[]): Promise<void> {
    for (const { n, pool } of info.files) {
      if (pool === "" || there.some((file) => file.n === n)) continue;
      const [own, root] = await Promise.all(
        [this.#tree.at(pool), this.#tree.root].map(async (path) =>
          (await this.#files.identity(path))?.device
        ),
      );
      if (own !== undefined && own !== root) continue;
      throw new VirtxError("conflict", `no file system is mounted at "${pathOf(pool)}" on this host`);
    }
  }

  async #requireFree(files: readonly Located[]): Promise<void> {
    for (const { path, trashed, original } of files) {
      const { directory } = imageAt(path);
      if ((await this.#tree.missing(directory)).length > 0 || !await this.#files.lstat(original)) continue;
      if (!await this.#isOne(trashed, original)) throw taken(path);
    }
  }

  /**
   * link(2), for which a name that is one of the file already is fine: a crash, or an answer that NFS lost.
   * @returns whether it was not
   */
  async #link(file: string, to: string): Promise<boolean> {
    try {
      await this.#files.link(file, to);
      return true;
    } catch (error) {
      if (errnoCode(error) !== "EEXIST" || !await this.#isOne(file, to)) throw error;
      return false;
    }
  }

  /** Whether two paths are names of one file; both exist. */
  async #isOne(path: string, other: string): Promise<boolean> {
    const [one, two] = await Promise.all([this.#files.identity(path), this.#files.identity(other)]);
    return one !== undefined && one.device === two?.device && one.inode === two.inode;
  }

  async #markAt(path: string): Promise<FileMark> {
    const identity = await this.#files.identity(path);
    if (identity === undefined) {
      throw new VirtxError("storage", "the storage does not tell which file it is");
    }
    return markOf(identity);
  }

  async #claiming<T>(id: string, verb: string, task: (directory: string) => Promise<T>): Promise<T> {
    return await onStorage(`Cannot ${verb} ${id} of the trash`, () => this.#claims.run(id, task));
  }

  /** Whether an entry is done with, whose restoring or emptying was cut off; what is left of it is then gone. */
  async #end(id: string, directory: string, vms: KnownVms): Promise<boolean> {
    const known = await this.#whole(id, directory).catch(unlessConflict);
    if (known === undefined) return false;
    const { info, files } = known;
    const back: Located[] = [];
    for (const file of files) if (await this.#isBack(file)) back.push(file);
    // What is restored is back as a whole, and its VM defined, before the first of it leaves the trash.
    const isWhole = back.length === files.length;
    if (files.length === 0 || (isWhole && (info.xml === undefined || await vms.isDefined(info.vm)))) {
      for (const { trashed } of files) await this.#files.unlink(trashed);
      await this.#forget(id, directory, info);
      return true;
    }
    const used = await vms.used(back.map(({ path }) => path));
    await this.#takeBack(directory, back.filter(({ path }) => !used.has(path)));
    return false;
  }

  /** What is known of an entry, and those of its files that the trash has. @throws VirtxError conflict: that cannot be told */
  async #whole(
    id: string,
    directory: string,
  ): Promise<{ readonly info: TrashInfo; readonly files: readonly Located[] }> {
    const info = await this.#requireInfo(directory);
    const files = await this.#there(id, directory, info);
    await this.#requirePools(info, files);
    return { info, files };
  }

  /** Whether a file of the trash has its old name as well. */
  async #isBack({ path, trashed, original }: Located): Promise<boolean> {
    if ((await this.#tree.missing(imageAt(path).directory)).length > 0) return false;
    return await this.#files.lstat(original) !== undefined && await this.#isOne(trashed, original);
  }

  /**
   * Takes files away again that were put back. Each has its name in the trash still, or else it stays: this host may have
   * slept, and another has restored the entry meanwhile.
   */
  async #takeBack(directory: string, files: readonly Located[]): Promise<void> {
    for (const file of files) {
      const isOurs = await this.#files.lstat(this.#tree.at(directory)) !== undefined;
      if (!isOurs || !await this.#files.lstat(file.trashed) || !await this.#isBack(file)) continue;
      await this.#files.unlink(file.original);
      await this.#prune(splitName(nameBelowRoot(file.path)).directory);
    }
  }

  async #tidy(): Promise<void> {
    if ((await this.#tree.missing(TRASH)).length > 0) return;
    const entries = await this.#entries();
    await this.#claims.giveBack();
    await this.#sweep(entries);
    if (entries.length === 0) return this.#report([]);
    const now = await this.#now();
    for (const { id, info, busy, files } of entries) {
      const isExpired = info !== undefined && info.until <= now && !busy;
      if (!isExpired || files.some(({ state }) => state === "foreign")) continue;
      await this.#emptyExpired(id, info, "the trash is emptied of what has expired");
    }
    this.#report(entries);
  }

  /** Removes what was begun, or ended, by the last look already, and has come to nothing since. */
  async #sweep(entries: readonly TrashEntry[]): Promise<void> {
    // A deletion begins with an empty directory, and an emptying may end with one.
    const bare = entries.filter(({ busy, damage }) => !busy && damage !== "").map(({ id }) => id);
    for (const id of bare.filter((id) => this.#unfinished.has(id))) {
      await this.#files.rmdirIfEmpty(this.#tree.at(entryName(id)));
    }
    const probes = (await this.#files.names(this.#tree.at(TRASH))).filter((name) => PROBE.test(name));
    for (const name of probes.filter((name) => this.#unfinished.has(name))) {
      await this.#files.unlink(this.#tree.at(`${TRASH}/${name}`));
    }
    this.#unfinished = new Set([...bare, ...probes]);
  }

  /** Removes what is left of an entry whose files are gone. */
  async #forget(id: string, directory: string, info: TrashInfo | undefined): Promise<void> {
    const own = this.#entryFiles(directory);
    await own.remove(INFO);
    await own.sweep();
    await this.#files.rmdirIfEmpty(this.#tree.at(directory));
    for (const { pool } of info?.files ?? []) {
      if (pool !== "") await this.#files.rmdirIfEmpty(this.#tree.at(`${pool}/${entryName(id)}`));
    }
    this.#clear(id);
  }

  async #emptyExpired(id: string, { name, deletedAt }: TrashInfo, message: string): Promise<boolean> {
    try {
      await this.empty(id);
      this.#o.log.info(message, { entry: id, name, deleted: new Date(deletedAt).toISOString() });
      return true;
    } catch (error) {
      // Another host may have been quicker.
      logFailure(this.#o.log, "debug", "cannot empty an entry of the trash", error, { entry: id });
      return false;
    }
  }

  #report(entries: readonly TrashEntry[]): void {
    for (const id of this.#reported) if (!entries.some((entry) => entry.id === id)) this.#clear(id);
    for (const { id, files } of entries) {
      const foreign = files.filter(({ state }) => state === "foreign").map(({ path }) => path);
      if (foreign.length > 0) this.#reportForeign(id, foreign);
      else this.#clear(id);
    }
  }

  #reportForeign(id: string, paths: readonly string[]): void {
    this.#reported.add(id);
    const reason = `the trash has a file that nobody deleted, from ${paths.join(", ")}; ` +
      `"virtx trash restore ${id}" puts it back once its path is free, "virtx trash empty --force ${id}" removes it`;
    this.#o.health?.report(causeOf(id), { reason, blocking: false });
  }

  #clear(id: string): void {
    if (this.#reported.delete(id)) this.#o.health?.clear(causeOf(id));
  }

  async #requireInfo(directory: string): Promise<TrashInfo> {
    const info = await this.#info(directory).catch((error) => {
      throw new VirtxError("conflict", errorMessage(error), { cause: error });
    });
    if (info === undefined) {
      throw new VirtxError("conflict", "it has no info.json, which says whose files these are");
    }
    return info;
  }

  /** Undefined: there is none. VirtxError `invalid`: it cannot be read. */
  async #info(directory: string): Promise<TrashInfo | undefined> {
    const content = await this.#entryFiles(directory).read(INFO, TRASH_INFO_LIMIT_BYTES);
    if (content === undefined) return undefined;
    const info = parseTrashInfo(content);
    for (const { path, pool } of info.files) {
      try {
        const { directory } = imageAt(path);
        if (pool === "" || directory === pool || directory.startsWith(`${pool}/`)) continue;
      } catch (error) {
        throw VirtxError.wrap(error, `its info.json is not as virtxd writes it: "${path}"`);
      }
      throw new VirtxError(
        "invalid",
        `its info.json is not as virtxd writes it: "${path}" is not in ${pool}`,
      );
    }
    return info;
  }

  #entryFiles(directory: string): AtomicDirectory {
    return new AtomicDirectory({ tree: this.#tree, directory, mode: DIRECTORY_MODE });
  }

  /** What the storage's own clock says, UTC milliseconds: hosts may be wrong about the time, each in its own way. */
  async #now(): Promise<number> {
    await this.#tree.make(TRASH, DIRECTORY_MODE);
    const probe = this.#tree.at(`${TRASH}/.now.${newId()}.tmp`);
    try {
      await this.#files.write(probe, new Uint8Array(1), INFO_MODE);
      const identity = await this.#files.identity(probe);
      if (identity === undefined) throw new VirtxError("storage", "the storage does not tell the time");
      return Number(identity.modified / 1_000_000n);
    } finally {
      await this.#files.unlink(probe);
    }
  }

  get #tree(): Tree {
    return this.#o.tree;
  }

  get #files(): Files {
    return this.#o.tree.files;
  }
}

/** A file in the trash with where it is and was, absolute. */
interface Located extends TrashedFile {
  readonly trashed: string;
  readonly original: string;
  readonly isForeign: boolean;
  readonly bytes: number;
}

/** The name of a file in the trash, below /vms/ds. Only in its main part are entries claimed: whoever has that has all. */
function trashedName(id: string, directory: string, { pool, n }: TrashedFile): string {
  return pool === "" ? `${directory}/${n}` : `${pool}/${entryName(id)}/${n}`;
}

function imageAt(path: string): { readonly name: string; readonly directory: string } {
  if (isBelow(path, VARIABLES_ROOT) && path.endsWith(".fd")) {
    const name = nameBelowRoot(path);
    return { name, directory: splitName(name).directory };
  }
  const location = locateDisk(path);
  if (location.kind === "file") return location;
  throw new VirtxError("invalid", "block devices are never deleted");
}

function taken(path: string): VirtxError {
  return new VirtxError("conflict", `"${path}" exists; move it away first`);
}

function isFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(errnoCode(error) ?? "");
}

function unlessConflict(error: unknown): undefined {
  if (!(error instanceof VirtxError) || error.kind !== "conflict") throw error;
}

function causeOf(id: string): string {
  return `trash ${id}`;
}
