import { z } from "zod";
import type { HostFault } from "../model/host_condition.ts";
import { isUuid } from "../model/uuid.ts";
import type { ByteReader, ByteWriter } from "./bytes.ts";

/**
 * What a host says beside its record: what it is without, and which of the hosts that it watches do not answer it. It comes
 * after the stamp in an HI (faults int16, count uint16, each UUID as two uint64), and with a state over HTTP. Hosts of earlier
 * versions and of the prototype do not look at it, and say none.
 */
export interface HostReport {
  readonly faults: readonly HostFault[];
  /** UUIDs, at most {@link UNANSWERED_MAX}. */
  readonly unanswered: readonly string[];
}

/** What there is to say where nothing is wrong. */
export const NOTHING_WRONG: HostReport = { faults: [], unanswered: [] };

/** How many hosts a host can say do not answer it: more than it watches, as a rule, and no more than fit. */
export const UNANSWERED_MAX = 8;

/** Each fault is a bit; those that are not known here are of later versions. */
const BITS: readonly (readonly [HostFault, number])[] = [["libvirt", 1], ["storage", 2], ["serf", 4]];

const HEADER_BYTES = 4;
const UUID_BYTES = 16;

const TEXT_MAX = 64;
/** So many faults are looked at, whatever they are. */
const FAULTS_MAX = 16;

/** What cannot be understood counts as not said: the rest of what it comes with is worth having. */
export const HostReportSchema = z.object({
  faults: z.array(z.string().max(TEXT_MAX)).max(FAULTS_MAX)
    .transform((told) => BITS.flatMap(([fault]) => told.includes(fault) ? [fault] : [])),
  unanswered: z.array(z.string().refine(isUuid)).max(UNANSWERED_MAX),
}).optional().catch(undefined);

/** Writes it at the end of a record. */
export function writeReport(writer: ByteWriter, { faults, unanswered }: HostReport): void {
  writer.int16(BITS.reduce((sum, [fault, bit]) => faults.includes(fault) ? sum | bit : sum, 0));
  const told = unanswered.slice(0, UNANSWERED_MAX);
  writer.count(told.length);
  for (const uuid of told) {
    const digits = uuid.replaceAll("-", "");
    writer.uint64(digits.slice(0, 16));
    writer.uint64(digits.slice(16));
  }
}

/** Reads what is left of a record; undefined: that is no report, which makes the rest no worse. */
export function readReport(reader: ByteReader): HostReport | undefined {
  if (reader.remaining < HEADER_BYTES) return undefined;
  const bits = reader.int16("faults");
  const count = reader.int16("hosts that do not answer");
  if (count < 0 || count * UUID_BYTES > reader.remaining) return undefined;
  const unanswered: string[] = [];
  for (let rest = Math.min(count, UNANSWERED_MAX); rest > 0; rest--) {
    const digits = reader.uint64("host") + reader.uint64("host");
    unanswered.push(digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"));
  }
  return { faults: BITS.flatMap(([fault, bit]) => bits & bit ? [fault] : []), unanswered };
}

/** Whether both say the same. */
export function saysTheSame(a: HostReport, b: HostReport): boolean {
  return a.faults.join() === b.faults.join() && a.unanswered.join() === b.unanswered.join();
}
