import { v4 as newId } from "uuid";
import { errorMessage, VirtxError } from "../model/error.ts";
import { AtomicDirectory } from "../posix/atomic_directory.ts";
import { errnoCode, systemReason } from "../posix/errno.ts";
import type { Files } from "../posix/files.ts";
import type { Tree } from "../posix/tree.ts";
import { isSameFile } from "./file_mark.ts";
import { imageAt, ImageFiles } from "./image_files.ts";
import { pathOf, splitName } from "./location.ts";
import { entryName, entryOf, TRASH } from "./trash_claims.ts";
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
/** How often the trash is looked through again when entries change their names meanwhile. */
const LOOKS = 3;
/** The unit of st_blocks (stat(2)). */
const BLOCK_BYTES = 512;

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

/** A file in the trash with where it is and was, absolute. */
export interface Located extends TrashedFile {
  readonly trashed: string;
  readonly original: string;
  readonly isForeign: boolean;
  readonly bytes: number;
}

/** What lies in the trash: which entries there are, and what each has. */
export class TrashEntries {
  readonly #tree: Tree;
  readonly #images: ImageFiles;

  /** @param tree /vms/ds */
  constructor(tree: Tree) {
    this.#tree = tree;
    this.#images = new ImageFiles(tree);
  }

  /** All of them, the oldest first; those of which that is not known come first. */
  async all(): Promise<TrashEntry[]> {
    for (let look = 1;; look++) {
      const names = (await this.#tree.directories(TRASH)).sort();
      const entries: TrashEntry[] = [];
      let isWhole = true;
      for (const name of names) {
        const id = entryOf(name);
        if (id === undefined) continue;
        const entry = await this.#entry(id, `${TRASH}/${name}`);
        if (entry === undefined) isWhole = false;
        else entries.push(entry);
      }
      // What is gone by now may have been claimed or given back just then, and has another name.
      if (!isWhole && look < LOOKS) continue;
      return entries.sort((a, b) => (a.info?.deletedAt ?? 0) - (b.info?.deletedAt ?? 0));
    }
  }

  /** Those files of an entry that the trash has. */
  async there(id: string, directory: string, info: TrashInfo): Promise<Located[]> {
    const located: Located[] = [];
    for (const file of info.files) {
      const name = trashedName(id, directory, file);
      await this.#tree.missing(splitName(name).directory);
      const trashed = this.#tree.at(name);
      const facts = await this.#files.lstat(trashed);
      if (facts === undefined) continue;
      const isForeign = !facts.isFile || !isSameFile(await this.#images.markAt(trashed), file.mark);
      const original = this.#tree.at(imageAt(file.path).name);
      located.push({ ...file, trashed, original, isForeign, bytes: facts.blocks * BLOCK_BYTES });
    }
    return located;
  }

  /** The files of an entry whose info cannot be read. */
  async numbered(directory: string): Promise<Pick<Located, "trashed" | "path" | "isForeign">[]> {
    const names = await this.#files.names(this.#tree.at(directory));
    return names.map((name) => ({
      trashed: this.#tree.at(`${directory}/${name}`),
      path: name,
      isForeign: false,
    }));
  }

  /** What is known of an entry, and those of its files that the trash has. @throws VirtxError conflict: that cannot be told */
  async whole(
    id: string,
    directory: string,
  ): Promise<{ readonly info: TrashInfo; readonly files: readonly Located[] }> {
    const info = await this.#requireInfo(directory);
    const files = await this.there(id, directory, info);
    await this.requirePools(info, files);
    return { info, files };
  }

  /** Where a file system is not mounted, what the trash has on it only seems to be gone: VirtxError `conflict`. */
  async requirePools(info: TrashInfo, there: readonly TrashedFile[]): Promise<void> {
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

  /** Undefined: there is none. VirtxError `invalid`: it cannot be read. */
  async info(directory: string): Promise<TrashInfo | undefined> {
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

  /** What the storage's own clock says, UTC milliseconds: hosts may be wrong about the time, each in its own way. */
  async now(): Promise<number> {
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

  /** Whether a file of the trash has its old name as well. */
  async isBack({ path, trashed, original }: Located): Promise<boolean> {
    if ((await this.#tree.missing(imageAt(path).directory)).length > 0) return false;
    return await this.#files.lstat(original) !== undefined && await this.#images.isOne(trashed, original);
  }

  /** Begins an entry on stable storage, with places for its files. */
  async begin(id: string, info: Omit<TrashInfo, "format">): Promise<TrashInfo> {
    const content = renderTrashInfo(info);
    await this.#entryFiles(entryName(id)).write(INFO, () => content, INFO_MODE);
    for (const { pool } of info.files) {
      if (pool !== "") await this.#tree.make(`${pool}/${entryName(id)}`, DIRECTORY_MODE);
    }
    return parseTrashInfo(content);
  }

  /** Removes what is left of an entry whose files are gone. */
  async forget(id: string, directory: string, info: TrashInfo | undefined): Promise<void> {
    const own = this.#entryFiles(directory);
    await own.remove(INFO);
    await own.sweep();
    await this.#files.rmdirIfEmpty(this.#tree.at(directory));
    for (const { pool } of info?.files ?? []) {
      if (pool !== "") await this.#files.rmdirIfEmpty(this.#tree.at(`${pool}/${entryName(id)}`));
    }
  }

  /** Undefined: it is gone meanwhile. */
  async #entry(id: string, directory: string): Promise<TrashEntry | undefined> {
    const busy = directory !== entryName(id);
    try {
      const info = await this.info(directory);
      if (info === undefined) {
        if (await this.#files.lstat(this.#tree.at(directory)) === undefined) return undefined;
        return { id, info, damage: "it has no info.json", busy, files: [], bytes: 0 };
      }
      const located = await this.there(id, directory, info);
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

  async #requireInfo(directory: string): Promise<TrashInfo> {
    const info = await this.info(directory).catch((error) => {
      throw new VirtxError("conflict", errorMessage(error), { cause: error });
    });
    if (info === undefined) {
      throw new VirtxError("conflict", "it has no info.json, which says whose files these are");
    }
    return info;
  }

  #entryFiles(directory: string): AtomicDirectory {
    return new AtomicDirectory({ tree: this.#tree, directory, mode: DIRECTORY_MODE });
  }

  get #files(): Files {
    return this.#tree.files;
  }
}

/** The name of a file in the trash, below /vms/ds. Only in its main part are entries claimed: whoever has that has all. */
export function trashedName(id: string, directory: string, { pool, n }: TrashedFile): string {
  return pool === "" ? `${directory}/${n}` : `${pool}/${entryName(id)}/${n}`;
}
