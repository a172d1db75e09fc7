import { z } from "zod";
import { errorMessage, VirtxError } from "../model/error.ts";
import { type FaultHook, noFault } from "../model/fault.ts";
import type { Logger } from "../model/log.ts";
import { isUuid } from "../model/uuid.ts";
import { AtomicDirectory } from "../posix/atomic_directory.ts";
import { errnoCode } from "../posix/errno.ts";
import { onStorage } from "../posix/storage_error.ts";
import { Tree } from "../posix/tree.ts";
import type { Change } from "./change.ts";

/** Room for the largest definition twice, with every character escaped. */
const RECORD_LIMIT_BYTES = 32 << 20;

const SUFFIX = ".json";

/** A record as it is stored. Storage checks the paths themselves, when it is asked to do something with them. */
const storedChange = z.strictObject({
  version: z.literal(1),
  id: z.string().refine(isUuid),
  op: z.enum(["create", "update", "delete"]),
  vm: z.string().refine(isUuid),
  phase: z.enum(["prepared", "committed"]),
  startedAt: z.int(),
  oldXml: z.string().optional(),
  newXml: z.string().optional(),
  created: z.array(z.strictObject({ path: z.string(), temp: z.string(), directories: z.array(z.string()) })),
  removed: z.array(z.string()),
});

export interface JournalOptions {
  /** Where the shared storage is; "/vms" unless a test says otherwise. */
  readonly root?: string | undefined;
  /** The host whose changes these are. */
  readonly hostUuid: string;
  readonly log: Logger;
  /** Fault points: `journal.written`, `journal.renamed`, `journal.removed`. */
  readonly fault?: FaultHook | undefined;
}

/**
 * The changes that this host has begun and not finished, in /vms/xml/<host uuid>/.journal/<id>.json; on shared
 * storage, so that it shares the fate of the disks that it speaks of. Errors: VirtxError of kind `storage`.
 */
export class Journal {
  readonly #files: AtomicDirectory;
  readonly #log: Logger;

  constructor({ root = "/vms", hostUuid, log, fault = noFault }: JournalOptions) {
    if (!isUuid(hostUuid)) throw new VirtxError("internal", `"${hostUuid}" is not the UUID of a host`);
    this.#files = new AtomicDirectory({
      tree: new Tree(root),
      directory: `xml/${hostUuid}/.journal`,
      fault: (point) => fault(`journal.${point}`),
    });
    this.#log = log;
  }

  /** Records a change, over what was recorded of it before; it is on stable storage when this resolves. */
  async write(change: Change): Promise<void> {
    const text = JSON.stringify({ version: 1, ...change });
    await onStorage(
      `Cannot record the change of VM ${change.vm} in the journal`,
      () => this.#files.write(fileName(change.id), new TextEncoder().encode(text), 0o600),
    );
  }

  /** Forgets a change, done or undone; none is fine. */
  async remove(id: string): Promise<void> {
    await onStorage(`Cannot remove change ${id} from the journal`, () => this.#files.remove(fileName(id)));
  }

  /**
   * The changes that are open, the oldest first. A record that cannot be understood is logged and set aside under a
   * name that ends in ".broken": it must not keep the daemon from starting.
   */
  async list(): Promise<Change[]> {
    return await onStorage("Cannot read the journal", async () => {
      const changes: Change[] = [];
      for (const name of await this.#files.names()) {
        if (!name.endsWith(SUFFIX)) continue;
        const change = await this.#read(name);
        if (change) changes.push(change);
      }
      return changes.sort((a, b) => a.startedAt - b.startedAt);
    });
  }

  /** Removes what a crash left of writes that it interrupted; for the start of the daemon. Their number. */
  async sweep(): Promise<number> {
    return await onStorage("Cannot tidy the journal", () => this.#files.sweep());
  }

  async #read(name: string): Promise<Change | undefined> {
    try {
      const content = await this.#files.read(name, RECORD_LIMIT_BYTES);
      return content && parseRecord(content, name.slice(0, -SUFFIX.length));
    } catch (error) {
      const code = errnoCode(error);
      if (code !== undefined && code !== "EFBIG") throw error; // the storage is at fault, not the record
      this.#log.error("journal record is broken and set aside", {
        record: name,
        reason: errorMessage(error),
      });
      await this.#files.rename(name, `${name}.broken`);
      return undefined;
    }
  }
}

function parseRecord(content: Uint8Array<ArrayBuffer>, id: string): Change {
  const record = storedChange.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content)));
  if (record.id !== id) throw new Error(`it speaks of change ${record.id}`);
  const { version: _, oldXml, newXml, ...rest } = record;
  return { ...rest, oldXml, newXml };
}

function fileName(id: string): string {
  if (!isUuid(id)) throw new VirtxError("internal", `"${id}" is not the id of a change`);
  return id + SUFFIX;
}
