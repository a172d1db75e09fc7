import { VirtxError } from "../model/error.ts";
import { imageKey } from "../model/lease_key.ts";
import { SHARED_ROOT } from "../model/paths.ts";
import { isUuid } from "../model/uuid.ts";
import { parentOf } from "../posix/files.ts";
import { onStorage } from "../posix/storage_error.ts";
import type { Tree } from "../posix/tree.ts";

/** sanlock's leader record, at the beginning of a lease file (its src/ondisk.h: little endian). */
const RECORD = { magicAt: 0, ownerAt: 32, timestampAt: 152, bytes: 160 } as const;
const MAGIC = 0x06152010;

/** The longest file that tells a host's number, in bytes. */
const NUMBER_BYTES = 32;

/**
 * The leases that prototype hosts keep of managed disks in files (protocol.md §3): `/vms/lock/<key>/<key>`, one for each. They are
 * looked at, and taken away with the disk; sanlock alone takes and releases them. One that its holder has not released counts
 * as held, though that host may be dead: only sanlock could tell.
 */
export class Leases {
  readonly #tree: Tree;

  /** @param tree the shared storage, /vms */
  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /**
   * Makes sure that nobody holds the lease of an image file, if it has one.
   * @throws VirtxError conflict, naming the holder; storage
   */
  async requireFree(path: string): Promise<void> {
    await onStorage(`Cannot delete disk "${path}"`, async () => {
      const file = await this.#find(path);
      if (file !== undefined) await this.#requireFree(file);
    });
  }

  /** Takes the lease of a deleted image file away, or else its path could never be used again; none is fine. Errors likewise. */
  async end(path: string): Promise<void> {
    await onStorage(`Cannot end the lease of disk "${path}"`, async () => {
      const file = await this.#find(path);
      if (file === undefined) return;
      await this.#requireFree(file);
      const { files } = this.#tree;
      await files.unlink(file);
      await files.rmdirIfEmpty(parentOf(file));
      await files.syncDirectory(parentOf(parentOf(file)));
    });
  }

  /** The lease file of an image; undefined: there is none. */
  async #find(path: string): Promise<string | undefined> {
    const key = imageKey(path);
    if (key === undefined) return undefined;
    const directory = `lock/${key}`;
    if ((await this.#tree.missing(directory)).length > 0) return undefined;
    const file = this.#tree.at(`${directory}/${key}`);
    const facts = await this.#tree.files.lstat(file);
    if (facts && !facts.isFile) throw new VirtxError("storage", `its lease "${file}" is not a regular file`);
    return facts && file;
  }

  async #requireFree(file: string): Promise<void> {
    const bytes = await this.#tree.files.readStart(file, RECORD.bytes);
    const record = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const shown = file.replace(this.#tree.root, SHARED_ROOT);
    if (record.byteLength < RECORD.bytes || record.getUint32(RECORD.magicAt, true) !== MAGIC) {
      throw new VirtxError(
        "storage",
        `its lease "${shown}" is none that sanlock has written; look at it, and remove it`,
      );
    }
    if (record.getBigUint64(RECORD.timestampAt, true) === 0n) return; // released
    const number = Number(record.getBigUint64(RECORD.ownerAt, true));
    const host = await this.#hostOf(number);
    throw new VirtxError(
      "conflict",
      `sanlock's host ${number} (${
        host === undefined ? "unknown" : `host ${host}`
      }) holds its lease "${shown}"; stop what ` +
        "uses the disk there, or delete the VM without its storage",
    );
  }

  /** The host that has cached that number as its own. */
  async #hostOf(number: number): Promise<string | undefined> {
    for (const host of (await this.#tree.directories("xml")).filter(isUuid)) {
      const cached = await this.#tree.files.read(this.#tree.at(`xml/${host}/lockid`), NUMBER_BYTES);
      if (cached && Number(new TextDecoder().decode(cached).trim()) === number) return host;
    }
    return undefined;
  }
}
