import { inBackground } from "../model/background.ts";
import { isDefect } from "../model/defect.ts";
import { VirtxError } from "../model/error.ts";
import { ErrorCode, MigrateFlag, TypedParameterType } from "./constants.ts";
import { settlesWithin } from "./deadline.ts";
import type { Domain } from "./domain.ts";
import type { TypedParameter } from "./typed_params_encode.ts";

/** Where a domain shall go, and how. */
export interface MigrationOptions {
  /** The target's libvirt, as this host's libvirt reaches it: qemu+tcp://10.0.0.2/system */
  readonly destination: string;
  /** How to move the guest while it runs; left out: move the definition of a domain that is off. */
  readonly live?: LiveMigrationOptions;
  /** The definition that the target shall keep, in place of this host's (`persistent_xml`). */
  readonly persistentXml?: string;
}

/** How to move a running guest; what is left out is libvirt's or QEMU's default. */
export interface LiveMigrationOptions {
  /** The target's IP address: QEMU listens there, and nowhere else, for the other QEMU. */
  readonly address: string;
  /** What shall run there, if not the same; it must look the same to the guest (`destination_xml`). */
  readonly xml?: string;
  /** Over how many connections memory is sent, in place of one. Not with `postCopy`. */
  readonly parallelConnections?: number;
  /** Leave the guest paused at the target, for the caller to resume when it is sure that it is nowhere else. */
  readonly paused?: boolean;
  /** Slow the guest down when it writes faster than memory can be sent. */
  readonly autoConverge?: { readonly initialPercent?: number; readonly incrementPercent?: number };
  /**
   * Allow {@link Domain.startPostCopy}. Needs userfaultfd on the target, or else fails at the start. From then on a loss
   * of either host or of the link is the loss of the guest.
   */
  readonly postCopy?: boolean;
  /** Goes on with a migration that broke in post-copy; only together with `postCopy`. */
  readonly resumePostCopy?: boolean;
  /** The most to send; MiB/s. */
  readonly bandwidthMiBps?: number;
}

/** How a migration ended that did not fail: the guest is at the target, or it stays here because somebody said so. */
export type MigrationOutcome = "completed" | "aborted";

/** Means to end a migration early. */
export interface MigrationControl {
  readonly signal: AbortSignal | undefined;
  /** virDomainAbortJob of the domain, on another connection; throws if there is no job (yet). */
  readonly abort: () => Promise<void>;
}

/** Between two attempts to abort: a migration has a job to abort only some time after its start. */
const ABORT_RETRY_MS = 100;

/**
 * Migrates a domain and waits for the end, however long it takes. The signal aborts it, if it is not too late: in
 * post-copy, and at the very end, it completes.
 *
 * @throws VirtxError
 *   - `refused`: it failed, and the guest is here as before. Only if the link broke in the last moment the guest may run
 *     at the target, and be paused here.
 *   - `unavailable`: this host's libvirt went away meanwhile; how it ended, or will end, is unknown.
 *   - `conflict`: only the definition shall move, but the domain is not off. The caller sees to it that nobody starts it
 *     meanwhile.
 *   - `invalid`: options that exclude each other.
 */
export async function migrate(
  domain: Domain,
  options: MigrationOptions,
  control: MigrationControl,
): Promise<MigrationOutcome> {
  await check(domain, options);
  if (control.signal?.aborted) return "aborted";
  const moving = domain.migrate(options.destination, migrationParameters(options), migrationFlags(options));
  const abort = () => inBackground(abortUntilSettled(moving, control.abort));
  control.signal?.addEventListener("abort", abort, { once: true });
  try {
    await moving;
    return "completed";
  } catch (error) {
    if (error instanceof VirtxError && error.libvirt?.code === ErrorCode.operationAborted) return "aborted";
    throw error;
  } finally {
    control.signal?.removeEventListener("abort", abort);
  }
}

/**
 * virDomainMigrateFlags. Always: PEER2PEER, so that the two libvirts see it through even if virtxd ends; and the
 * definition goes along with the guest (PERSIST_DEST, UNDEFINE_SOURCE), so that each VM is defined on one host. For a
 * guest that runs ABORT_ON_ERROR too: a guest that an I/O error has stopped stays, instead of going on elsewhere with
 * requests lost. Never UNSAFE: libvirt refuses where disks are not shared, or cached by the host.
 */
export function migrationFlags({ live }: MigrationOptions): number {
  const { peer2peer, persistDestination, undefineSource, offline, abortOnError } = MigrateFlag;
  const common = peer2peer | persistDestination | undefineSource;
  if (live === undefined) return common | offline;
  return common | abortOnError | MigrateFlag.live |
    (live.paused ? MigrateFlag.paused : 0) |
    (live.parallelConnections === undefined ? 0 : MigrateFlag.parallel) |
    (live.autoConverge === undefined ? 0 : MigrateFlag.autoConverge) |
    (live.postCopy ? MigrateFlag.postCopy : 0) |
    (live.resumePostCopy ? MigrateFlag.postCopyResume : 0);
}

/** VIR_MIGRATE_PARAM_*, those that are set. */
export function migrationParameters({ live, persistentXml }: MigrationOptions): TypedParameter[] {
  const { int, ullong } = TypedParameterType;
  return [
    ...text("migrate_uri", live && migrationUri(live.address)),
    ...text("listen_address", live?.address),
    ...text("destination_xml", live?.xml),
    ...text("persistent_xml", persistentXml),
    ...number("parallel.connections", int, live?.parallelConnections),
    ...number("auto_converge.initial", int, live?.autoConverge?.initialPercent),
    ...number("auto_converge.increment", int, live?.autoConverge?.incrementPercent),
    ...number("bandwidth", ullong, live?.bandwidthMiBps),
  ];
}

function text(name: string, value: string | undefined): TypedParameter[] {
  return value === undefined ? [] : [{ name, type: TypedParameterType.string, value }];
}

function number(
  name: string,
  type: typeof TypedParameterType.int | typeof TypedParameterType.ullong,
  value: number | undefined,
): TypedParameter[] {
  return value === undefined ? [] : [{ name, type, value }];
}

/** The libvirt of a host with that IP address, as other hosts reach it. */
export function remoteUri(address: string): string {
  return `qemu+tcp://${address.includes(":") ? `[${address}]` : address}/system`;
}

/** Without a port: libvirt takes a free one of its range. */
function migrationUri(address: string): string {
  return `tcp://${address.includes(":") ? `[${address}]` : address}`;
}

/** Refuses what libvirt would do, but should not. */
async function check(domain: Domain, { live }: MigrationOptions): Promise<void> {
  // QEMU 7.2 takes the two together, and then the target's crashes with the guest in it
  if (live?.postCopy && live.parallelConnections !== undefined) {
    throw new VirtxError("invalid", "Post-copy and parallel connections exclude each other");
  }
  // libvirt would define it at the target and let it run on here
  if (live === undefined && await domain.isActive()) throw new VirtxError("conflict", "It is not off");
}

/** Aborts as soon as libvirt lets us. */
async function abortUntilSettled(moving: Promise<void>, abort: () => Promise<void>): Promise<void> {
  do {
    try {
      return await abort();
    } catch (error) { // not yet, or too late: the end of the migration will tell
      if (isDefect(error)) throw error;
    }
  } while (!await settlesWithin(ABORT_RETRY_MS, moving));
}
