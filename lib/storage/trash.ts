import { logFailure } from "../model/defect.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { FaultHook } from "../model/fault.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { type Files, parentOf } from "../posix/files.ts";
import { onStorage } from "../posix/storage_error.ts";
import type { Tree } from "../posix/tree.ts";
import type { FileMark } from "./file_mark.ts";
import { IMAGE_DIRECTORY_MODE, imageAt, ImageFiles } from "./image_files.ts";
import { nameBelowRoot, splitName } from "./location.ts";
import { entryName, TRASH, TrashClaims } from "./trash_claims.ts";
import { type Located, TrashEntries, type TrashEntry } from "./trash_entries.ts";
import type { TrashInfo } from "./trash_info.ts";
import { type Removal, type RemovalOutcome, TrashRemoval } from "./trash_removal.ts";

/** The name of a file that is written to learn the time. */
const PROBE = /^\.now\.[0-9a-f-]{36}\.tmp$/;

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
 * The trash: where files go that leave /vms/ds ({@link TrashRemoval}), and how they come back or go for good.
 *
 * What one change has deleted is an entry, the directory `.virtxd/trash/<id of the change>` with info.json and the files by
 * number. Whoever empties or restores an entry claims it ({@link TrashClaims}). Times are those of the storage's clock.
 */
export class Trash {
  readonly #o: TrashOptions;
  readonly #entries: TrashEntries;
  readonly #images: ImageFiles;
  readonly #claims: TrashClaims;
  readonly #removal: TrashRemoval;
  /** What looked unfinished at the last {@link tidy}. */
  #unfinished: ReadonlySet<string> = new Set();
  /** Entries that are reported for a file that nobody has deleted. */
  readonly #reported = new Set<string>();

  constructor(options: TrashOptions) {
    this.#o = options;
    this.#entries = new TrashEntries(options.tree);
    this.#images = new ImageFiles(options.tree);
    this.#claims = new TrashClaims(options);
    this.#removal = new TrashRemoval({
      ...options,
      entries: this.#entries,
      empty: (id) => this.empty(id),
      makeRoom: () => this.makeRoom(() => Promise.resolve(true)),
      reportForeign: (id, paths) => this.#reportForeign(id, paths),
    });
  }

  /** How long what is deleted can be restored; 0: not at all. */
  get graceMs(): number {
    return this.#o.graceMs;
  }

  /** Which file a path names; undefined if there is none. VirtxError `invalid` if it is no regular file. */
  async mark(path: string): Promise<FileMark | undefined> {
    return await this.#images.mark(path);
  }

  /** Takes the files of a change away. May be repeated, also after a crash at any point, and then does what is left. */
  async put(removal: Removal): Promise<RemovalOutcome> {
    return await this.#removal.put(removal);
  }

  /** All entries, the oldest first; those of which that is not known come first. */
  async list(): Promise<TrashEntry[]> {
    return await onStorage("Cannot read the trash", () => this.#entries.all());
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
      const { info, files } = await this.#entries.whole(id, directory);
      const paths = files.map(({ path }) => path);
      await this.#requireFree(files);
      const linked: Located[] = [];
      try {
        for (const file of files) {
          await this.#tree.make(splitName(nameBelowRoot(file.path)).directory, IMAGE_DIRECTORY_MODE);
          if (await this.#images.link(file.trashed, file.original)) linked.push(file);
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
      const info = await this.#entries.info(directory).catch((error) => {
        if (force) return undefined;
        throw new VirtxError("conflict", `${errorMessage(error)}; with force all that it has is removed`);
      });
      const located = info && await this.#entries.there(id, directory, info);
      if (info && located && !force) await this.#entries.requirePools(info, located);
      const files = located ?? await this.#entries.numbered(directory);
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

  async #requireFree(files: readonly Located[]): Promise<void> {
    for (const { path, trashed, original } of files) {
      const { directory } = imageAt(path);
      if ((await this.#tree.missing(directory)).length > 0 || !await this.#files.lstat(original)) continue;
      if (!await this.#images.isOne(trashed, original)) throw taken(path);
    }
  }

  async #claiming<T>(id: string, verb: string, task: (directory: string) => Promise<T>): Promise<T> {
    return await onStorage(`Cannot ${verb} ${id} of the trash`, () => this.#claims.run(id, task));
  }

  /** Whether an entry is done with, whose restoring or emptying was cut off; what is left of it is then gone. */
  async #end(id: string, directory: string, vms: KnownVms): Promise<boolean> {
    const known = await this.#entries.whole(id, directory).catch(unlessConflict);
    if (known === undefined) return false;
    const { info, files } = known;
    const back: Located[] = [];
    for (const file of files) if (await this.#entries.isBack(file)) back.push(file);
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

  /**
   * Takes files away again that were put back. Each has its name in the trash still, or else it stays: this host may have
   * slept, and another has restored the entry meanwhile.
   */
  async #takeBack(directory: string, files: readonly Located[]): Promise<void> {
    for (const file of files) {
      const isOurs = await this.#files.lstat(this.#tree.at(directory)) !== undefined;
      if (!isOurs || !await this.#files.lstat(file.trashed) || !await this.#entries.isBack(file)) continue;
      await this.#files.unlink(file.original);
      await this.#images.prune(splitName(nameBelowRoot(file.path)).directory);
    }
  }

  async #tidy(): Promise<void> {
    if ((await this.#tree.missing(TRASH)).length > 0) return;
    const entries = await this.#entries.all();
    await this.#claims.giveBack();
    await this.#sweep(entries);
    if (entries.length === 0) return this.#report([]);
    const now = await this.#entries.now();
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

  async #forget(id: string, directory: string, info: TrashInfo | undefined): Promise<void> {
    await this.#entries.forget(id, directory, info);
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

  get #tree(): Tree {
    return this.#o.tree;
  }

  get #files(): Files {
    return this.#o.tree.files;
  }
}

function taken(path: string): VirtxError {
  return new VirtxError("conflict", `"${path}" exists; move it away first`);
}

function unlessConflict(error: unknown): undefined {
  if (!(error instanceof VirtxError) || error.kind !== "conflict") throw error;
}

function causeOf(id: string): string {
  return `trash ${id}`;
}
