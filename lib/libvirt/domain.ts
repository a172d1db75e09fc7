import { withholdSecrets } from "../domain_xml/secrets.ts";
import { VirtxError } from "../model/error.ts";
import { formatUuid, isUuid } from "../model/uuid.ts";
import type { Connection } from "./connection.ts";
import {
  Affect,
  ControlState,
  DefineFlag,
  DestroyFlag,
  ErrorCode,
  JobStatsFlag,
  JobType,
  ListFlag,
  MetadataType,
  UndefineFlag,
  XmlFlag,
} from "./constants.ts";
import type { Libvirt } from "./ffi.ts";
import { domainInfo } from "./info.ts";
import { type DomainJob, readJob } from "./job.ts";
import { borrowString, cString, optionalCString, OutPointer, readPointers, takeString } from "./memory.ts";
import { TypedParameters } from "./typed_params.ts";
import { encodeTypedParameters, type TypedParameter } from "./typed_params_encode.ts";

const UUID_BYTES = 16;

// struct _virDomainControlInfo { unsigned int state, details; unsigned long long stateTime; }
const CONTROL_INFO_SIZE = 16, STATE_TIME_OFFSET = 8;

/** What libvirt answers where there is no job to tell of, or the driver does not know of such things. */
const UNTOLD = [ErrorCode.noSupport, ErrorCode.operationUnsupported] as const;

function isUntold(error: unknown): boolean {
  return error instanceof VirtxError && UNTOLD.some((code) => code === error.libvirt?.code);
}

/** What a domain does now (virDomainState) and why; the reasons' meaning depends on the state. */
export interface StateReason {
  readonly state: number;
  readonly reason: number;
}

/** What libvirt keeps of a domain on its host, beside the definition. */
export interface KeptState {
  /** It is started when its host is. */
  readonly autostart: boolean;
  /** Its memory has been saved, and its next start goes on with it. */
  readonly managedSave: boolean;
  readonly snapshots: number;
  /** Of dirty bitmaps, for backups. */
  readonly checkpoints: number;
}

/** What can be told of a domain whatever its QEMU does, and whoever waits for that. */
export interface DomainGlimpse {
  /** Its title, if it has one, else its name. */
  readonly name: string;
  readonly memoryKiB: number;
  readonly vcpus: number;
}

/** A piece of `<metadata>`: its namespace, the prefix to write it with, and the element; undefined removes it. */
export interface MetadataChange {
  readonly uri: string;
  readonly key: string;
  readonly xml: string | undefined;
  /** Change the running domain too, not only its definition. */
  readonly live: boolean;
}

/** A reference to a domain (virDomainPtr) on the connection that it came from; disposing it drops the reference. */
export class Domain implements Disposable {
  readonly #connection: Connection;
  readonly #libvirt: Libvirt;
  readonly #pointer: Deno.PointerObject;

  constructor(connection: Connection, pointer: Deno.PointerObject) {
    this.#connection = connection;
    this.#libvirt = connection.libvirt;
    this.#pointer = pointer;
  }

  [Symbol.dispose](): void {
    this.#libvirt.virDomainFree(this.#pointer);
  }

  get uuid(): string {
    return domainUuid(this.#libvirt, this.#pointer);
  }

  /** virDomainGetName */
  get name(): string {
    return borrowString(this.#libvirt.virDomainGetName(this.#pointer));
  }

  /** virDomainGetXMLDesc: the definition that the next start takes, with marks where its passwords are, see {@link withholdSecrets}. */
  async definition(): Promise<string> {
    return withholdSecrets(await this.definitionWithSecrets()) ?? await this.#xml(XmlFlag.inactive);
  }

  /** virDomainGetXMLDesc: as {@link definition}, with its passwords. */
  definitionWithSecrets(): Promise<string> {
    return this.#xml(XmlFlag.inactive | XmlFlag.secure);
  }

  /**
   * Replaces the definition if it still is as it was, with its passwords. libvirt has no compare-and-set, so what other tools
   * define between two calls that follow each other is lost.
   * @returns what it is then, as {@link definition}; undefined: it was another, and stays
   */
  async replaceDefinition(before: string, xml: string): Promise<string | undefined> {
    if (await this.definitionWithSecrets() !== before) return undefined;
    using _domain = await defineDomain(this.#connection, xml);
    return await this.definition();
  }

  /** virDomainGetXMLDesc: what runs now; for a domain that does not run, its definition. */
  liveXml(): Promise<string> {
    return this.#xml(0);
  }

  /** virDomainGetXMLDesc: what a migration would tell the target of the domain. */
  migratableXml(): Promise<string> {
    return this.#xml(XmlFlag.migratable);
  }

  /** virDomainGetXMLDesc: as {@link liveXml}, with the processor that the guest sees in place of "host-model". */
  xmlWithProcessor(): Promise<string> {
    return this.#xml(XmlFlag.updateCpu);
  }

  /** virDomainGetState */
  async state(): Promise<StateReason> {
    const state = new Int32Array(1), reason = new Int32Array(1);
    await this.#int((domain) => this.#libvirt.virDomainGetState(domain, state, reason, 0));
    return { state: state[0] ?? 0, reason: reason[0] ?? 0 };
  }

  /**
   * virDomainGetControlInfo: the {@link ControlState} of a domain that is active, and for how many milliseconds it has been so.
   *
   * @throws VirtxError `refused` if it is not
   */
  async control(): Promise<{ readonly state: number; readonly ms: number }> {
    const info = new Uint8Array(CONTROL_INFO_SIZE);
    await this.#int((domain) => this.#libvirt.virDomainGetControlInfo(domain, info, 0));
    const view = new DataView(info.buffer);
    return { state: view.getUint32(0, true), ms: Number(view.getBigUint64(STATE_TIME_OFFSET, true)) };
  }

  /** For how many milliseconds QEMU has not answered libvirt; undefined: nothing is asked of it. See {@link control}. */
  async silence(): Promise<number | undefined> {
    const { state, ms } = await this.control();
    return state === ControlState.occupied ? ms : undefined;
  }

  /** virDomainGetMetadata, virDomainGetInfo */
  async glimpse(): Promise<DomainGlimpse> {
    const title = await this.#title();
    const { memoryKiB, vcpus } = await domainInfo(this.#connection, this.#pointer);
    const name = title ?? borrowString(this.#libvirt.virDomainGetName(this.#pointer));
    return { name, memoryKiB, vcpus };
  }

  /** virDomainIsActive: whether there is a guest, running, paused or crashed, rather than only a definition. */
  async isActive(): Promise<boolean> {
    return await this.#int((domain) => this.#libvirt.virDomainIsActive(domain)) === 1;
  }

  /**
   * virDomainGetAutostart, virDomainHasManagedSaveImage, virDomainSnapshotNum, virDomainListAllCheckpoints; what a driver does
   * not know of it does not keep.
   */
  async kept(): Promise<KeptState> {
    const autostart = new Int32Array(1);
    await this.#int((domain) => this.#libvirt.virDomainGetAutostart(domain, autostart));
    return {
      autostart: autostart[0] !== 0,
      managedSave: await this.#count((domain) => this.#libvirt.virDomainHasManagedSaveImage(domain, 0)) > 0,
      snapshots: await this.#count((domain) => this.#libvirt.virDomainSnapshotNum(domain, 0)),
      checkpoints: await this.#count((domain) => this.#libvirt.virDomainListAllCheckpoints(domain, null, 0)),
    };
  }

  /** virDomainSetAutostart */
  setAutostart(on: boolean): Promise<void> {
    return this.#do((domain) => this.#libvirt.virDomainSetAutostart(domain, Number(on)));
  }

  /** virDomainCreateWithFlags */
  start(): Promise<void> {
    return this.#do((domain) => this.#libvirt.virDomainCreateWithFlags(domain, 0));
  }

  /** virDomainShutdownFlags, with {@link ShutdownFlag}s: asks the guest to end, which it does, or not. */
  shutdown(flags: number): Promise<void> {
    return this.#do((domain) => this.#libvirt.virDomainShutdownFlags(domain, flags));
  }

  /** virDomainDestroyFlags: ends the domain; gracefully means that QEMU may still flush its disks, or else it fails. */
  destroy(graceful: boolean): Promise<void> {
    const flags = graceful ? DestroyFlag.graceful : 0;
    return this.#do((domain) => this.#libvirt.virDomainDestroyFlags(domain, flags));
  }

  /** virDomainSuspend */
  suspend(): Promise<void> {
    return this.#do((domain) => this.#libvirt.virDomainSuspend(domain));
  }

  /** virDomainResume */
  resume(): Promise<void> {
    return this.#do((domain) => this.#libvirt.virDomainResume(domain));
  }

  /** virDomainUndefineFlags, with {@link UndefineFlag}s. */
  undefine(flags: number): Promise<void> {
    return this.#do((domain) => this.#libvirt.virDomainUndefineFlags(domain, flags));
  }

  /** virDomainAttachDeviceFlags, to the definition. */
  attachDevice(xml: string): Promise<void> {
    const device = cString(xml);
    return this.#do((domain) => this.#libvirt.virDomainAttachDeviceFlags(domain, device, Affect.config));
  }

  /** virDomainDetachDeviceFlags, from the definition. */
  detachDevice(xml: string): Promise<void> {
    const device = cString(xml);
    return this.#do((domain) => this.#libvirt.virDomainDetachDeviceFlags(domain, device, Affect.config));
  }

  /** virDomainSetMetadata of an element, in the definition and, if so asked, in the running domain. */
  setMetadata(change: MetadataChange): Promise<void> {
    const xml = optionalCString(change.xml);
    const key = cString(change.key);
    const uri = cString(change.uri);
    const impact = Affect.config | (change.live ? Affect.live : 0);
    return this.#do((domain) =>
      this.#libvirt.virDomainSetMetadata(domain, MetadataType.element, xml, key, uri, impact)
    );
  }

  /** virDomainMigrateToURI3, with MigrateFlags: returns when the domain is at the target, or not. */
  migrate(destination: string, parameters: readonly TypedParameter[], flags: number): Promise<void> {
    const uri = cString(destination);
    const encoded = encodeTypedParameters(parameters);
    return this.#do((domain) =>
      this.#libvirt.virDomainMigrateToURI3(domain, uri, encoded, parameters.length, flags)
    );
  }

  /** virDomainMigrateStartPostCopy: lets the guest run at the target from now on, and fetch its memory as it needs it. */
  startPostCopy(): Promise<void> {
    return this.#do((domain) => this.#libvirt.virDomainMigrateStartPostCopy(domain, 0));
  }

  /** virDomainMigrateSetMaxDowntime: for how long the guest may stand still at the end of a migration. */
  setMaxDowntime(ms: number): Promise<void> {
    return this.#do((domain) => this.#libvirt.virDomainMigrateSetMaxDowntime(domain, BigInt(ms), 0));
  }

  /** virDomainAbortJob */
  abortJob(): Promise<void> {
    return this.#do((domain) => this.#libvirt.virDomainAbortJob(domain));
  }

  /** virDomainOpenConsole: connects a virStreamPtr with the first console; {@link ConsoleFlag}s. */
  openConsole(stream: Deno.PointerObject, flags: number): Promise<void> {
    return this.#do((domain) => this.#libvirt.virDomainOpenConsole(domain, null, stream, flags));
  }

  /** virDomainGetJobStats: the job that is under way; undefined: none that is to be told of here. */
  job(): Promise<DomainJob | undefined> {
    return this.#job(0);
  }

  /** virDomainGetJobStats: the last job that ended well, as long as libvirt remembers it. */
  completedJob(): Promise<DomainJob | undefined> {
    return this.#job(JobStatsFlag.completed | JobStatsFlag.keepCompleted);
  }

  /** A driver that does not know of jobs (libvirt's test driver) has none; of a migration the source alone tells. */
  async #job(flags: number): Promise<DomainJob | undefined> {
    const type = new Int32Array(1), count = new Int32Array(1);
    const array = new OutPointer();
    try {
      await this.#int((domain) =>
        this.#libvirt.virDomainGetJobStats(domain, type, array.buffer, count, flags)
      );
    } catch (error) {
      if (isUntold(error)) return undefined;
      throw error;
    }
    const figures = new TypedParameters();
    try {
      figures.load(array.value, count[0] ?? 0);
      return readJob(type[0] ?? JobType.none, figures);
    } finally {
      this.#libvirt.virTypedParamsFree(array.value, count[0] ?? 0);
    }
  }

  /** A number of things; none, where the driver does not know of them. */
  async #count(call: (domain: Deno.PointerObject) => Promise<number>): Promise<number> {
    try {
      return await this.#int(call);
    } catch (error) {
      if (isUntold(error)) return 0;
      throw error;
    }
  }

  async #title(): Promise<string | undefined> {
    try {
      const title = await this.#connection.pointer(() =>
        this.#libvirt.virDomainGetMetadata(this.#pointer, MetadataType.title, null, 0)
      );
      return takeString(this.#libvirt, title);
    } catch (error) {
      if (error instanceof VirtxError && error.libvirt?.code === ErrorCode.noDomainMetadata) return undefined;
      throw error;
    }
  }

  #int(call: (domain: Deno.PointerObject) => Promise<number>): Promise<number> {
    return this.#connection.int(() => call(this.#pointer));
  }

  async #do(call: (domain: Deno.PointerObject) => Promise<number>): Promise<void> {
    await this.#int(call);
  }

  async #xml(flags: number): Promise<string> {
    const xml = await this.#connection.pointer(() => this.#libvirt.virDomainGetXMLDesc(this.#pointer, flags));
    return takeString(this.#libvirt, xml);
  }
}

/** Domains that are disposed together. */
export class DomainList implements Disposable {
  readonly domains: readonly Domain[];

  constructor(domains: readonly Domain[]) {
    this.domains = domains;
  }

  [Symbol.dispose](): void {
    for (const domain of this.domains) domain[Symbol.dispose]();
  }
}

/**
 * virDomainLookupByUUID
 *
 * @throws VirtxError `not_found`, also for a text that is no UUID and so cannot name a domain.
 */
export async function lookupDomain(connection: Connection, uuid: string): Promise<Domain> {
  if (!isUuid(uuid)) throw new VirtxError("not_found", `"${uuid}" is not a UUID`);
  const bytes = Uint8Array.fromHex(uuid.replaceAll("-", ""));
  return new Domain(
    connection,
    await connection.pointer((c) => connection.libvirt.virDomainLookupByUUID(c, bytes)),
  );
}

/** Runs the task with the domain of this UUID. @throws VirtxError `not_found` if there is none, and what the task throws */
export async function withDomain<T>(
  connection: Connection,
  uuid: string,
  task: (domain: Domain) => Promise<T>,
): Promise<T> {
  using domain = await lookupDomain(connection, uuid);
  return await task(domain);
}

/** virConnectListAllDomains, those that fit the {@link ListFlag}s; 0: all. */
export async function listDomains(connection: Connection, flags = 0): Promise<DomainList> {
  const { libvirt } = connection;
  const list = new OutPointer();
  const count = await connection.int((c) => libvirt.virConnectListAllDomains(c, list.buffer, flags));
  const array = list.value;
  if (array === null) return new DomainList([]);
  try {
    return new DomainList(readPointers(array, count).map((pointer) => new Domain(connection, pointer)));
  } finally {
    libvirt.free(array);
  }
}

/** virDomainDefineXMLFlags, checked against libvirt's schema: makes or replaces a persistent domain. */
export async function defineDomain(connection: Connection, xml: string): Promise<Domain> {
  const definition = cString(xml);
  return new Domain(
    connection,
    await connection.pointer((c) =>
      connection.libvirt.virDomainDefineXMLFlags(c, definition, DefineFlag.validate)
    ),
  );
}

/** virDomainGetUUID: from the handle itself, without asking libvirtd. */
export function domainUuid(libvirt: Libvirt, domain: Deno.PointerObject): string {
  const bytes = new Uint8Array(UUID_BYTES);
  libvirt.virDomainGetUUID(domain, bytes);
  return formatUuid(bytes);
}

/** A domain that libvirt knows. */
export interface KnownDomain {
  readonly uuid: string;
  /** Unique on this host. */
  readonly name: string;
  /** False: it exists only while it runs. */
  readonly persistent: boolean;
}

/** All domains, in two round trips. */
export async function knownDomains(connection: Connection): Promise<KnownDomain[]> {
  using persistent = await listDomains(connection, ListFlag.persistent);
  using transient = await listDomains(connection, ListFlag.transient);
  return [
    ...persistent.domains.map(({ uuid, name }) => ({ uuid, name, persistent: true })),
    ...transient.domains.map(({ uuid, name }) => ({ uuid, name, persistent: false })),
  ];
}

/** What stays of a domain that is undefined. */
export interface UndefineOptions {
  readonly keepVariables?: boolean;
  readonly keepTpm?: boolean;
}

/** virDomainUndefineFlagsValues. The test driver keeps nothing but memory and snapshots, and refuses the other flags. */
export function undefineFlags(driver: string, o: UndefineOptions): number {
  const { managedSave, snapshotsMetadata, nvram, keepNvram, checkpointsMetadata, tpm, keepTpm } =
    UndefineFlag;
  const common = managedSave | snapshotsMetadata;
  const firmware = (o.keepVariables ? keepNvram : nvram) | (o.keepTpm ? keepTpm : tpm);
  return driver === "QEMU" ? common | checkpointsMetadata | firmware : common;
}
