import { Firmware } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { Operation } from "../model/operation.ts";
import { type Cpudef, vcpus, type Vmdef } from "../model/vm.ts";
import { CPU_MODES, FALLBACK_CPU_MODE } from "./build_cpu.ts";
import { attribute, child, children, descend, integer, trimmedText, type XmlElement } from "./element.ts";
import { readMetadata } from "./metadata.ts";
import { parseDisks, parseInterface } from "./parse_devices.ts";
import { readXml } from "./read.ts";
import { summarise } from "./summary.ts";

/** What a domain's XML says. */
export interface ParsedDomain {
  readonly uuid: string;
  /** Disk sizes are 0: the XML has none. */
  readonly def: Vmdef;
  /** The last operation of each kind, in the XML's order. */
  readonly operations: readonly Operation[];
}

/**
 * Reads a domain's XML, inactive, live or migratable, ours or not. What libvirt chose (MAC addresses, genid) is in
 * the result. A domain that somebody defined by other means is given as the model can tell it; what the model has
 * no word for becomes the nearest thing, and never fails. Live XML has a concrete CPU in the place of host-model: for
 * definitions, read the inactive one.
 *
 * @throws VirtxError `internal` if the document is not well-formed or no `<domain>`.
 */
export function parseDomainXml(xml: string): ParsedDomain {
  const domain = readXml(xml, "domain", "kept");
  const devices = child(domain, "devices");
  const metadata = readMetadata(domain);
  const [osdisk, ...disks] = parseDisks(devices);
  const { uuid, name, vlanid, custom, vcpus } = summarise(domain, metadata);
  return {
    uuid,
    def: {
      name,
      cpudef: parseCpu(child(domain, "cpu"), vcpus, attribute(metadata.asked, "cpu")),
      memory: {
        total: memoryMiB(child(domain, "memory")),
        hp: descend(domain, "memoryBacking", "hugepages") !== undefined,
      },
      numa: { placement: attribute(descend(domain, "numatune", "memory"), "placement") === "auto" },
      osdisk,
      disks,
      nets: children(devices, "interface").map(parseInterface),
      vlanid,
      firmware: parseFirmware(child(domain, "os")),
      genid: parseGenid(child(domain, "genid")) ?? attribute(metadata.asked, "genid") ?? "",
      custom,
    },
    operations: metadata.operations,
  };
}

/** The operations alone; none, if the definition cannot be read. */
export function operationsOf(xml: string): readonly Operation[] {
  try {
    return parseDomainXml(xml).operations;
  } catch (error) {
    if (error instanceof VirtxError) return [];
    throw error;
  }
}

/** An empty `<genid>` is one that libvirt has not filled in yet. */
function parseGenid(genid: XmlElement | undefined): string | undefined {
  return genid && (trimmedText(genid).toLowerCase() || "auto");
}

/**
 * The CPU. Where the topology does not account for all virtual CPUs (or there is none), they are told as sockets, so
 * that the product is always the number that the guest has.
 */
function parseCpu(cpu: XmlElement | undefined, total: number, asked: string | undefined): Cpudef {
  const mode = attribute(cpu, "mode") ?? "";
  const written = CPU_MODES.includes(mode) ? mode : trimmedText(child(cpu, "model"));
  const model = written === FALLBACK_CPU_MODE && asked !== undefined ? asked : written;
  const nodes = Math.max(1, children(child(cpu, "numa"), "cell").length);
  const topology = child(cpu, "topology");
  const count = (name: string) => integer(attribute(topology, name)) ?? 1;
  const sockets = count("sockets") * count("dies") * count("clusters") / nodes;
  const told: Cpudef = { model, nodes, sockets, cores: count("cores"), threads: count("threads") };
  if (topology !== undefined && Number.isInteger(sockets) && vcpus(told) === total) return told;
  return { model, nodes: 1, sockets: total, cores: 1, threads: 1 };
}

/**
 * libvirt leaves the firmware attribute out of migratable XML: there a pflash loader or its variables tell UEFI, as
 * `<bios>` tells BIOS (protocol.md §4). aarch64 machines have nothing but UEFI.
 */
function parseFirmware(os: XmlElement | undefined): Firmware {
  const chosen = attribute(os, "firmware");
  if (chosen !== undefined) return chosen === "efi" ? Firmware.uefi : Firmware.bios;
  if (attribute(child(os, "loader"), "type") === "pflash" || child(os, "nvram")) return Firmware.uefi;
  if (child(os, "bios")) return Firmware.bios;
  return attribute(child(os, "type"), "arch") === "aarch64" ? Firmware.uefi : Firmware.bios;
}

/** Bytes in each unit of libvirt's scaled integers (formatdomain, "memory"); printed XML has KiB only. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ["b", 1],
  ["bytes", 1],
  ["KB", 1e3],
  ["k", 2 ** 10],
  ["KiB", 2 ** 10],
  ["MB", 1e6],
  ["M", 2 ** 20],
  ["MiB", 2 ** 20],
  ["GB", 1e9],
  ["G", 2 ** 30],
  ["GiB", 2 ** 30],
  ["TB", 1e12],
  ["T", 2 ** 40],
  ["TiB", 2 ** 40],
]);

/** Memory, rounded up to MiB. */
export function memoryMiB(memory: XmlElement | undefined): number {
  const unit = UNITS.get(attribute(memory, "unit") ?? "KiB") ?? 2 ** 10;
  return Math.ceil((integer(trimmedText(memory)) ?? 0) * unit / 2 ** 20);
}
