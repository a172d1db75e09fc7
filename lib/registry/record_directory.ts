import type { z } from "zod";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { FaultHook } from "../model/fault.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { isUuid } from "../model/uuid.ts";
import { AtomicDirectory } from "../posix/atomic_directory.ts";
import { errnoCode } from "../posix/errno.ts";
import { onStorage } from "../posix/storage_error.ts";
import type { Tree } from "../posix/tree.ts";

/** Room for the largest definition twice, with every character escaped. */
const RECORD_LIMIT_BYTES = 32 << 20;

const SUFFIX = ".json";
/** Follows it in the name of a record that was set aside. */
const BROKEN = ".broken";

export interface RecordDirectoryOptions<T> {
  /** The shared storage. */
  readonly tree: Tree;
  /** Named from there. */
  readonly directory: string;
  /** What a record looks like in its file. */
  readonly schema: z.ZodType<T>;
  /** The UUID that names its file. */
  readonly id: (record: T) => string;
  /** What these records are called in messages: "the journal". */
  readonly called: string;
  readonly log: Logger;
  /** Where records that are set aside are reported. */
  readonly health?: Health | undefined;
  /** Fault points: `written`, `renamed`, `removed`. */
  readonly fault: FaultHook;
}

/**
 * Records of what is under way, each in a JSON file of its own that is replaced atomically and durably. On shared storage,
 * so that they share the fate of what they speak of. Errors: VirtxError of kind `storage`.
 */
export class RecordDirectory<T> {
  readonly #o: RecordDirectoryOptions<T>;
  readonly #files: AtomicDirectory;

  constructor(options: RecordDirectoryOptions<T>) {
    const { tree, directory, fault } = this.#o = options;
    this.#files = new AtomicDirectory({ tree, directory, fault });
  }

  /** Writes a record, over the one before of the same id; it is on stable storage when this resolves. */
  async write(record: T): Promise<void> {
    const { called, id } = this.#o;
    const text = JSON.stringify({ version: 1, ...record });
    await onStorage(
      `Cannot write to ${called}`,
      () => this.#files.write(fileName(id(record)), () => new TextEncoder().encode(text), 0o600),
    );
  }

  /** Forgets a record; none is fine. */
  async remove(id: string): Promise<void> {
    await onStorage(
      `Cannot remove ${id} from ${this.#o.called}`,
      () => this.#files.remove(fileName(id)),
    );
  }

  /**
   * All records. One that cannot be understood is logged and set aside under a name that ends in ".broken": it must not
   * keep the daemon from starting. What is set aside is reported until somebody has looked at it and removed it.
   */
  async list(): Promise<T[]> {
    return await onStorage(`Cannot read ${this.#o.called}`, async () => {
      const records: T[] = [];
      for (const name of await this.#files.names()) {
        if (!name.endsWith(SUFFIX)) continue;
        const record = await this.#read(name);
        if (record !== undefined) records.push(record);
      }
      this.#report((await this.#files.names()).filter((name) => name.endsWith(SUFFIX + BROKEN)));
      return records;
    });
  }

  /** The record of that id; undefined if there is none that can be understood. Nothing is set aside. */
  async peek(id: string): Promise<T | undefined> {
    const { called } = this.#o;
    const content = await onStorage(
      `Cannot read ${called}`,
      () => this.#files.read(fileName(id), RECORD_LIMIT_BYTES),
    );
    try {
      return content && this.#parse(content, id);
    } catch (error) {
      this.#o.log.warn("a record cannot be read", { of: called, record: id, reason: errorMessage(error) });
      return undefined;
    }
  }

  /** Removes what a crash left of writes that it interrupted; for the start of the daemon. Their number. */
  async sweep(): Promise<number> {
    return await onStorage(`Cannot tidy ${this.#o.called}`, () => this.#files.sweep());
  }

  async #read(name: string): Promise<T | undefined> {
    try {
      const content = await this.#files.read(name, RECORD_LIMIT_BYTES);
      return content && this.#parse(content, name.slice(0, -SUFFIX.length));
    } catch (error) {
      const code = errnoCode(error);
      if (code !== undefined && code !== "EFBIG") throw error; // the storage is at fault, not the record
      this.#o.log.error("record is broken and set aside", {
        of: this.#o.called,
        record: name,
        reason: errorMessage(error),
      });
      await this.#files.rename(name, name + BROKEN);
      return undefined;
    }
  }

  #report(broken: readonly string[]): void {
    const { called, directory, health, tree } = this.#o;
    const cause = `broken records in ${directory}`;
    const [first, ...others] = broken;
    if (first === undefined) return void health?.clear(cause);
    const more = others.length > 0 ? ` and ${others.length} more beside it` : "";
    const reason = `${called} has what could not be read, set aside as ` +
      `${tree.at(`${directory}/${first}`)}${more}: see to what it tells of, then remove it`;
    health?.report(cause, { reason, blocking: false });
  }

  #parse(content: Uint8Array<ArrayBuffer>, id: string): T {
    const { version, ...rest } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
    if (version !== 1) throw new Error(`it is of version ${version}`);
    const record = this.#o.schema.parse(rest);
    if (this.#o.id(record) !== id) throw new Error(`it speaks of ${this.#o.id(record)}`);
    return record;
  }
}

function fileName(id: string): string {
  if (!isUuid(id)) throw new VirtxError("internal", `"${id}" is not the id of a record`);
  return id + SUFFIX;
}
