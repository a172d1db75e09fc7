import { z } from "zod";
import type { Platform } from "../domain_xml/mod.ts";
import { NetType } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { isUuid } from "../model/uuid.ts";
import type { MigrationVerdict } from "../model/vm.ts";

/** What two hosts tell each other about a migration. Fields that are not known are ignored: the other may be newer. */

const Uuid = z.string().refine(isUuid);
const Count = z.int().nonnegative();

/** A VM as a host must know it to tell whether it can take it. */
export interface TargetCheck {
  readonly vm: string;
  /** As libvirt knows it; left out by hosts of earlier versions. */
  readonly name?: string | undefined;
  readonly live: boolean;
  readonly arch: string;
  readonly domainType: string;
  /** Versioned, as the guest has it: pc-i440fx-7.2; empty: it has none. */
  readonly machine: string;
  /** Path of QEMU; empty: the target's own. */
  readonly emulator: string;
  /** Of the source, as libvirt numbers it. */
  readonly qemuVersion: number;
  readonly uefi: boolean;
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly hugepages: boolean;
  /** A `<cpu>` element that the target's processor has to satisfy; empty: the guest takes what it finds. */
  readonly cpu: string;
  readonly disks: readonly {
    readonly path: string;
    /** What makes it the same file or device wherever it is looked at. */
    readonly identity: string;
    /** Virtual. */
    readonly sizeMiB: number;
  }[];
  /** What it has of devices that not every host offers; left out by hosts of earlier versions. */
  readonly devices?: Platform["devices"] | undefined;
  readonly nets: readonly { readonly name: string; readonly nettype: NetType }[];
  /** The id of the storage that its disks are on; left out: it is not known, or none of them is on any. */
  readonly storage?: string | undefined;
}

const TargetCheckSchema: z.ZodType<TargetCheck> = z.object({
  vm: Uuid,
  name: z.string().max(4_096).optional(),
  live: z.boolean(),
  arch: z.string(),
  domainType: z.string(),
  machine: z.string(),
  emulator: z.string(),
  qemuVersion: Count,
  uefi: z.boolean(),
  vcpus: Count,
  memoryMiB: Count,
  hugepages: z.boolean(),
  cpu: z.string().max(256 * 1024),
  disks: z.array(z.object({ path: z.string(), identity: z.string(), sizeMiB: Count })).max(1_000),
  devices: z.array(z.object({ kind: z.string().max(100), type: z.string().max(100) })).max(1_000).optional(),
  nets: z.array(z.object({ name: z.string(), nettype: z.literal(Object.values(NetType)) })).max(1_000),
  storage: z.string().refine(isUuid).optional(),
});

const VerdictSchema: z.ZodType<MigrationVerdict> = z.object({
  host: Uuid,
  name: z.string(),
  fits: z.boolean(),
  obstacles: z.array(z.object({ code: z.string(), message: z.string(), soft: z.literal(true).optional() }))
    .max(1_000),
  load: z.number(),
});

/**
 * What a host's libvirt has of a VM right now. A domain is `incoming` while it waits for its memory, which its libvirt
 * ends by itself when the migration ends otherwise; `halved`, when a post-copy broke: part of its memory is at the other
 * host.
 */
export interface DomainLook {
  readonly presence: "absent" | "off" | "incoming" | "running" | "paused" | "outgoing" | "halved";
  /** Whether there is a definition that stays. */
  readonly persistent: boolean;
  /** Whether libvirt is busy with a migration of it. */
  readonly migrating: boolean;
}

const LookSchema: z.ZodType<DomainLook> = z.object({
  presence: z.enum(["absent", "off", "incoming", "running", "paused", "outgoing", "halved"]),
  persistent: z.boolean(),
  migrating: z.boolean(),
});

/** Makes sure of a peer's question. @throws {VirtxError} kind invalid, as do the next two */
export function parseTargetCheck(value: unknown): TargetCheck {
  return parse(TargetCheckSchema, value, "a migration check");
}

/** Makes sure of a peer's answer. */
export function parseVerdict(value: unknown): MigrationVerdict {
  return parse(VerdictSchema, value, "a verdict on a migration");
}

/** Makes sure of a peer's answer. */
export function parseLook(value: unknown): DomainLook {
  return parse(LookSchema, value, "the state of a domain");
}

function parse<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // Whose words these are is no matter of the other host: it is told the field and that it is wrong.
  const fields = new Set(result.error.issues.map(({ path }) => fieldName(path)));
  const issues = [...fields].map((field) => ({
    field,
    message: "is missing, or not of the kind that it has to be",
  }));
  const [first] = issues;
  throw new VirtxError("invalid", `Cannot read ${what}: ${first?.field || "it"} ${first?.message}`, {
    issues,
  });
}

/** `disks[0].path` */
function fieldName(path: readonly PropertyKey[]): string {
  return path.map((step) => typeof step === "number" ? `[${step}]` : `.${String(step)}`).join("").replace(
    /^\./,
    "",
  );
}
