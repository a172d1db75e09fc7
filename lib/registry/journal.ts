import { z } from "zod";
import { VirtxError } from "../model/error.ts";
import { type FaultHook, noFault } from "../model/fault.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { isUuid } from "../model/uuid.ts";
import type { Change } from "./change.ts";
import { FileMark } from "../storage/file_mark.ts";
import type { Tree } from "../posix/tree.ts";
import { onStorage } from "../posix/storage_error.ts";
import { RecordDirectory } from "./record_directory.ts";

/** A change as it is stored. Storage checks the paths themselves, when it is asked to do something with them. */
const StoredChange: z.ZodType<Change> = z.strictObject({
  id: z.string().refine(isUuid),
  op: z.enum(["create", "update", "delete"]),
  vm: z.string().refine(isUuid),
  phase: z.enum(["prepared", "committed"]),
  startedAt: z.int(),
  oldXml: z.string().optional(),
  newXml: z.string().optional(),
  secret: z.literal(true).optional(),
  created: z.array(z.strictObject({ path: z.string(), temp: z.string(), directories: z.array(z.string()) })),
  removed: z.array(z.string()),
  keepsFirmware: z.literal(true).optional(),
  marks: z.record(z.string(), FileMark).optional(),
  now: z.literal(true).optional(),
}).transform(({ oldXml, newXml, ...rest }) => ({ ...rest, oldXml, newXml }));

export interface JournalOptions {
  /** The shared storage, /vms. */
  readonly tree: Tree;
  /** The host whose changes these are. */
  readonly hostUuid: string;
  readonly log: Logger;
  /** Where records that cannot be read are reported. */
  readonly health?: Health | undefined;
  /** Fault points: `journal.written`, `journal.renamed`, `journal.removed`. */
  readonly fault?: FaultHook | undefined;
}

/**
 * The changes that this host has begun and not finished, in /vms/xml/<host uuid>/.journal/<id>.json. Errors: VirtxError
 * of kind `storage`.
 */
export class Journal {
  readonly #tree: Tree;
  readonly #records: RecordDirectory<Change>;

  constructor({ tree, hostUuid, log, health, fault = noFault }: JournalOptions) {
    this.#tree = tree;
    this.#records = new RecordDirectory({
      tree,
      directory: directoryOf(hostUuid),
      schema: StoredChange,
      id: (change) => change.id,
      called: "the journal",
      log,
      health,
      fault: (point) => fault(`journal.${point}`),
    });
  }

  /** Records a change, over what was recorded of it before; it is on stable storage when this resolves. */
  async write(change: Change): Promise<void> {
    await this.#records.write(change);
  }

  /** Forgets a change, done or undone; none is fine. */
  async remove(id: string): Promise<void> {
    await this.#records.remove(id);
  }

  /** The record of a change of any host, by its path; undefined: it is not open. */
  async openRecord(host: string, id: string): Promise<string | undefined> {
    return await onStorage(`Cannot look into the journal of host ${host}`, async () => {
      if ((await this.#tree.missing(directoryOf(host))).length > 0) return undefined;
      const path = this.#tree.at(`${directoryOf(host)}/${id}.json`);
      return await this.#tree.files.lstat(path) && path;
    });
  }

  /** The changes that are open, the oldest first. */
  async list(): Promise<Change[]> {
    return (await this.#records.list()).sort((a, b) => a.startedAt - b.startedAt);
  }

  /** Removes what a crash left of writes that it interrupted; for the start of the daemon. Their number. */
  async sweep(): Promise<number> {
    return await this.#records.sweep();
  }
}

function directoryOf(host: string): string {
  if (!isUuid(host)) throw new VirtxError("internal", `"${host}" is not the UUID of a host`);
  return `xml/${host}/.journal`;
}
