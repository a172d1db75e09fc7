import { HostState, Runstate } from "../model/enums.ts";
import type { Host } from "../model/host.ts";
import { INT16_MAX, TOLD_FIELDS_MAX, TOLD_TEXT_MAX, VLAN_MAX } from "../model/limits.ts";
import { VirtxError } from "../model/error.ts";
import { isUuid } from "../model/uuid.ts";
import type { CustomField, VmInfo } from "../model/vm.ts";
import { DEFAULT_EVENT_LIMIT, payloadRoom } from "../serf/event_size.ts";
import { ByteReader, ByteWriter, invalid } from "./bytes.ts";
import { type HostReport, readReport, writeReport } from "./host_report.ts";
import type { Stamp } from "./stamp.ts";

/**
 * The records that hosts gossip, as payloads of Serf's user events (protocol.md §2): after the prototype's fields stands the
 * origin's stamp (epoch int64, sequence int64, digest uint64), which the prototype does not look at, and in an HI after that
 * the host's report, which earlier versions do not look at.
 */

/** The names of the user events. */
export const RECORD_NAMES = { host: "HI", vm: "VI", event: "VE" } as const;

/** Bytes that a payload may have, so that agents take it without being configured for it. */
export const RECORD_LIMIT = payloadRoom(RECORD_NAMES.host);

/** Bytes that Serf adds to a payload at most. */
export const EVENT_OVERHEAD = DEFAULT_EVENT_LIMIT - RECORD_LIMIT;

const STAMP_BYTES = 24;

/** What no name has; it would rearrange the line that it stands in. */
// deno-lint-ignore no-control-regex -- control characters are what is looked for
const CONTROL = /[\x00-\x1f\x7f-\x9f]/;

/** The part of a host that is gossiped. */
export interface HostInfo {
  readonly uuid: string;
  readonly name: string;
  readonly arch: string;
  readonly vendor: string;
  /** The CPU model. */
  readonly model: string;
  readonly nodes: number;
  readonly sockets: number;
  readonly cores: number;
  readonly threads: number;
  readonly cstate: HostState;
  /** MiB for further VMs, as hpavailable; below zero if more is promised than there is. */
  readonly memoryavailable: number;
  readonly hpavailable: number;
  readonly osid: string;
  readonly osv: string;
  readonly ts: number;
}

/** A change of a VM's run state. */
export interface VmEvent {
  readonly uuid: string;
  readonly host: string;
  readonly runstate: Runstate;
  readonly ts: number;
}

/** What may come after a record's own fields; undefined: it is from a host that does not say. */
export interface Stamped {
  readonly origin: Stamp | undefined;
}

export type HostRecord =
  & { readonly kind: "host"; readonly host: HostInfo; readonly report?: HostReport | undefined }
  & Stamped;
export type VmRecord = { readonly kind: "vm"; readonly vm: VmInfo } & Stamped;
export type EventRecord = { readonly kind: "event"; readonly event: VmEvent } & Stamped;

/** Anything that a host may gossip. */
export type GossipRecord = HostRecord | VmRecord | EventRecord;

/** The part of a host that is gossiped. */
export function hostInfoOf({ uuid, def, cstate, resources, ts }: Host): HostInfo {
  const { cpuarch, cpudef } = def;
  return {
    uuid,
    name: def.name,
    arch: cpuarch.arch,
    vendor: cpuarch.vendor,
    model: cpudef.model,
    nodes: cpudef.nodes,
    sockets: cpudef.sockets,
    cores: cpudef.cores,
    threads: cpudef.threads,
    cstate,
    memoryavailable: resources.memory.availablevms,
    hpavailable: resources.hp.availablevms,
    osid: def.osid,
    osv: def.osv,
    ts,
  };
}

/** The UUID of the host that says it. */
export function speakerOf(record: GossipRecord): string {
  switch (record.kind) {
    case "host":
      return record.host.uuid;
    case "vm":
      return record.vm.host;
    case "event":
      return record.event.host;
  }
}

/**
 * Encodes an HI. Undefined: it does not fit into an event, or into the record's integers.
 * @param report comes after the stamp
 */
export function encodeHostInfo(
  host: HostInfo,
  origin?: Stamp,
  report?: HostReport,
): Uint8Array<ArrayBuffer> | undefined {
  const writer = new ByteWriter(RECORD_LIMIT);
  for (const text of [host.uuid, host.name, host.arch, host.vendor, host.model]) writer.string(text);
  for (const size of [host.nodes, host.sockets, host.cores, host.threads]) writer.int16(size);
  writer.int16(host.cstate);
  writer.int32(host.memoryavailable);
  writer.int32(host.hpavailable);
  writer.string(host.osid);
  writer.string(host.osv);
  writer.int64(host.ts);
  if (origin) writeStamp(writer, origin);
  if (origin && report) writeReport(writer, report);
  return writer.finish();
}

/** Encodes a VE. Undefined: it does not fit. */
export function encodeVmEvent(event: VmEvent, origin?: Stamp): Uint8Array<ArrayBuffer> | undefined {
  const writer = new ByteWriter(RECORD_LIMIT);
  writeVmEvent(writer, event);
  return finish(writer, origin);
}

/** Encodes a VI. Undefined: it does not fit. */
export function encodeVmInfo(vm: VmInfo, origin?: Stamp): Uint8Array<ArrayBuffer> | undefined {
  const writer = new ByteWriter(RECORD_LIMIT);
  writeVmEvent(writer, vm);
  writer.string(vm.name);
  writer.int16(vm.vlanid);
  writer.count(vm.custom.length);
  for (const { name, value } of vm.custom) {
    writer.string(name);
    writer.string(value);
  }
  writer.int16(vm.vcpus);
  return finish(writer, origin);
}

/**
 * Decodes an HI.
 * @throws {VirtxError} kind invalid, as do the next two
 */
export function decodeHostInfo(payload: Uint8Array): HostRecord {
  const reader = new ByteReader(payload);
  const host: HostInfo = {
    uuid: readUuid(reader, "uuid"),
    name: readText(reader, "name"),
    arch: readText(reader, "arch"),
    vendor: readText(reader, "vendor"),
    model: readText(reader, "model"),
    nodes: readInt16(reader, "nodes", INT16_MAX),
    sockets: readInt16(reader, "sockets", INT16_MAX),
    cores: readInt16(reader, "cores", INT16_MAX),
    threads: readInt16(reader, "threads", INT16_MAX),
    cstate: readEnum(reader, "cstate", HostState),
    memoryavailable: reader.int32("memoryavailable"),
    hpavailable: reader.int32("hpavailable"),
    osid: readText(reader, "osid"),
    osv: readText(reader, "osv"),
    ts: readTimestamp(reader),
  };
  const origin = readStamp(reader);
  const report = origin && readReport(reader);
  return { kind: "host", host, origin, ...(report && { report }) };
}

/** Decodes a VE. */
export function decodeVmEvent(payload: Uint8Array): EventRecord {
  const reader = new ByteReader(payload);
  const event = readVmEvent(reader);
  return { kind: "event", event, origin: readStamp(reader) };
}

/** Decodes a VI. */
export function decodeVmInfo(payload: Uint8Array): VmRecord {
  const reader = new ByteReader(payload);
  const { uuid, host, runstate, ts } = readVmEvent(reader);
  const name = readText(reader, "name");
  const vlanid = readInt16(reader, "vlanid", VLAN_MAX);
  const custom: CustomField[] = [];
  const count = reader.count("custom fields", 4);
  if (count > TOLD_FIELDS_MAX) throw invalid(`it has ${count} custom fields`);
  for (let rest = count; rest > 0; rest--) {
    custom.push({ name: reader.string("custom name"), value: reader.string("custom value") });
  }
  const vcpus = readInt16(reader, "vcpus", INT16_MAX);
  const vm = { uuid, name, host, runstate, vlanid, custom, vcpus, ts };
  return { kind: "vm", vm, origin: readStamp(reader) };
}

/**
 * Decodes the payload of a user event; undefined: the name is none of ours.
 * @throws {VirtxError} kind invalid
 */
export function decodeRecord(name: string, payload: Uint8Array): GossipRecord | undefined {
  switch (name) {
    case RECORD_NAMES.host:
      return decodeHostInfo(payload);
    case RECORD_NAMES.vm:
      return decodeVmInfo(payload);
    case RECORD_NAMES.event:
      return decodeVmEvent(payload);
    default:
      return undefined;
  }
}

/** The UUID of the host in whose name something comes that may be no record at all; undefined: it cannot be told. */
export function claimedSpeaker(name: string, payload: Uint8Array): string | undefined {
  const reader = new ByteReader(payload);
  try {
    const first = readUuid(reader, "uuid");
    return name === RECORD_NAMES.host ? first : readUuid(reader, "host");
  } catch (error) {
    if (error instanceof VirtxError) return undefined;
    throw error;
  }
}

function writeVmEvent(writer: ByteWriter, { uuid, host, runstate, ts }: VmEvent): void {
  writer.string(uuid);
  writer.string(host);
  writer.int16(runstate);
  writer.int64(ts);
}

function readVmEvent(reader: ByteReader): VmEvent {
  return {
    uuid: readUuid(reader, "uuid"),
    host: readUuid(reader, "host"),
    runstate: readEnum(reader, "runstate", Runstate),
    ts: readTimestamp(reader),
  };
}

function finish(writer: ByteWriter, origin: Stamp | undefined): Uint8Array<ArrayBuffer> | undefined {
  if (origin) writeStamp(writer, origin);
  return writer.finish();
}

function writeStamp(writer: ByteWriter, { epoch, seq, digest }: Stamp): void {
  writer.int64(epoch);
  writer.int64(seq);
  writer.uint64(digest);
}

/** Fewer bytes than a stamp has are none; what comes after it is of later versions. */
function readStamp(reader: ByteReader): Stamp | undefined {
  if (reader.remaining < STAMP_BYTES) return undefined;
  const stamp = { epoch: reader.int64("epoch"), seq: reader.int64("seq"), digest: reader.uint64("digest") };
  if (stamp.epoch <= 0 || stamp.seq < 0) throw invalid("its epoch or seq is negative");
  return stamp;
}

function readUuid(reader: ByteReader, field: string): string {
  const text = reader.string(field);
  if (!isUuid(text)) throw invalid(`its ${field} is no UUID`);
  return text;
}

/** A name and the like, which will stand in lists. */
function readText(reader: ByteReader, field: string): string {
  const text = reader.string(field);
  if (text.length > TOLD_TEXT_MAX) throw invalid(`its ${field} has ${text.length} characters`);
  if (CONTROL.test(text)) throw invalid(`its ${field} has control characters`);
  return text;
}

function readInt16(reader: ByteReader, field: string, max: number): number {
  const value = reader.int16(field);
  if (value < 0 || value > max) throw invalid(`its ${field} is ${value}`);
  return value;
}

function readEnum<T extends number>(
  reader: ByteReader,
  field: string,
  enumeration: Readonly<Record<string, T>>,
): T {
  const value = reader.int16(field);
  const found = Object.values(enumeration).find((candidate) => candidate === value);
  if (found === undefined) throw invalid(`its ${field} is ${value}`);
  return found;
}

function readTimestamp(reader: ByteReader): number {
  const ts = reader.int64("ts");
  if (ts < 0) throw invalid(`its ts is ${ts}`);
  return ts;
}
