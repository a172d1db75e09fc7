import { z } from "zod";
import { MigrationType } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { type FaultHook, noFault } from "../model/fault.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { isUuid } from "../model/uuid.ts";
import { CONVERGENCE_MEASURES, type VmMigrateOptions } from "../model/vm.ts";
import { onStorage } from "../posix/storage_error.ts";
import type { Tree } from "../posix/tree.ts";
import { RecordDirectory } from "./record_directory.ts";

/** A migration away from this host that has begun and is not settled: what it takes to see it through after a crash. */
export interface MigrationRecord {
  /** The VM's UUID; it is in one migration at a time. */
  readonly vm: string;
  /** UUIDs of hosts. */
  readonly source: string;
  readonly target: string;
  /** Whether the guest ran when it began, rather than being paused or off. */
  readonly running: boolean;
  /** Whether the guest waits at the target until it is known to be nowhere else; see Migrations. */
  readonly held: boolean;
  /** UTC milliseconds. */
  readonly startedAt: number;
  /** With the target filled in. */
  readonly options: VmMigrateOptions;
}

const Uuid = z.string().refine(isUuid);

const StoredMigration: z.ZodType<MigrationRecord> = z.strictObject({
  vm: Uuid,
  source: Uuid,
  target: Uuid,
  running: z.boolean(),
  held: z.boolean(),
  startedAt: z.int(),
  options: z.strictObject({
    host: Uuid,
    migration_type: z.literal(Object.values(MigrationType)),
    deadline: z.int(),
    convergence: z.array(z.enum(CONVERGENCE_MEASURES)),
    bandwidth: z.int(),
    connections: z.int(),
  }),
});

export interface MigrationRecordsOptions {
  /** The shared storage, /vms. */
  readonly tree: Tree;
  /** The host that the migrations lead away from. */
  readonly hostUuid: string;
  readonly log: Logger;
  /** Where records that cannot be read are reported. */
  readonly health?: Health | undefined;
  /** Fault points: `migrations.written`, `migrations.renamed`, `migrations.removed`. */
  readonly fault?: FaultHook | undefined;
}

/** The migrations that this host has begun and not settled, in /vms/xml/<host uuid>/.migrations/<vm uuid>.json. */
export class MigrationRecords extends RecordDirectory<MigrationRecord> {
  readonly #options: MigrationRecordsOptions;

  constructor(options: MigrationRecordsOptions) {
    const { tree, hostUuid, log, health, fault = noFault } = options;
    if (!isUuid(hostUuid)) throw new VirtxError("internal", `"${hostUuid}" is not the UUID of a host`);
    super({
      tree,
      directory: `xml/${hostUuid}/.migrations`,
      schema: StoredMigration,
      id: (record) => record.vm,
      called: "the records of migrations",
      log,
      health,
      fault: (point) => fault(`migrations.${point}`),
    });
    this.#options = options;
  }

  /** The records by which other hosts have a VM migrate to this one; one at most, if all is well. */
  async leadingHere(vm: string): Promise<MigrationRecord[]> {
    const { tree, hostUuid } = this.#options;
    const others = await onStorage(
      "Cannot look for the records of migrations",
      () => tree.directories("xml"),
    );
    const sources = others.filter((host) => isUuid(host) && host !== hostUuid);
    const found = await Promise.all(sources.map(async (source) => {
      const record = await new MigrationRecords({ ...this.#options, hostUuid: source }).peek(vm);
      return record?.source === source && record.target === hostUuid ? [record] : [];
    }));
    return found.flat();
  }
}
