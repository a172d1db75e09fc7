import { type Cpudef, vcpus, type Vmdef } from "../model/vm.ts";
import { type DomainContext, libvirtAtLeast } from "./context.ts";
import { element, type XmlElement } from "./element.ts";

/** The CPU models of a definition that are libvirt's modes; anything else is a named model. */
export const CPU_MODES: readonly string[] = ["host-model", "host-passthrough", "maximum"];

/** What takes the place of a mode that this host has not (host-passthrough needs KVM). */
export const FALLBACK_CPU_MODE = "maximum";

/** The physical address bits that the AMD64 architecture has at least. */
const PHYSICAL_BITS_MIN = 36;

/** The CPU mode to write for a model: itself, unless it is a mode that this host's capabilities exclude. */
export function effectiveCpuModel(model: string, context: DomainContext): string {
  const modes = context.capabilities?.cpuModes;
  return CPU_MODES.includes(model) && modes !== undefined && !modes.has(model) ? FALLBACK_CPU_MODE : model;
}

/**
 * `<cpu>` (protocol.md §4). libvirt's sockets are those of all nodes; a definition with several nodes has a NUMA cell
 * for each, with an even share of CPUs and memory.
 */
export function cpuElement(def: Vmdef, context: DomainContext): XmlElement {
  const { cpudef, memory } = def;
  const model = effectiveCpuModel(cpudef.model, context);
  const inner = [
    ...maxPhysicalAddress(memory.total, context),
    element("topology", {
      sockets: cpudef.nodes * cpudef.sockets,
      cores: cpudef.cores,
      threads: cpudef.threads,
    }),
    ...numaCells(cpudef, memory.total),
  ];
  if (!CPU_MODES.includes(model)) {
    const attributes = { mode: "custom", match: "exact", check: "none" };
    return element("cpu", attributes, element("model", { fallback: "forbid" }, model), inner);
  }
  return element(
    "cpu",
    { mode: model, check: "none", migratable: model === "host-model" ? undefined : "on" },
    inner,
  );
}

/**
 * The host's own width, limited to what the memory needs, so that guests can move to hosts with narrower ones. Without a limit
 * (before libvirt 9.3) it would tie the guest to hosts like this one; QEMU's default does not.
 */
function maxPhysicalAddress(memoryMiB: number, context: DomainContext): readonly XmlElement[] {
  if (context.domainType !== "kvm" || context.arch !== "x86_64" || !libvirtAtLeast(context, 9, 3)) return [];
  return [element("maxphysaddr", { mode: "passthrough", limit: addressBits(memoryMiB) })];
}

/** What QEMU's PC machines put into the address space beside memory: a hole below 4 GiB, and a window for PCI devices above. */
const HOLES_MIB = (4 + 32) * 1024;

/** Where AMD keeps addresses for HyperTransport, up to 1 TiB: memory that would reach them begins above. */
const AMD_HOLE_MIB = 1012 * 1024;
const AMD_HOLE_END_MIB = 1024 * 1024;

/**
 * The physical address bits that a guest needs. Its memory alone, as protocol.md §4 has it, would be too few: QEMU does not
 * start a q35 guest of 32 GiB with 36 bits ("phys-bits too low").
 */
export function addressBits(memoryMiB: number): number {
  const used = memoryMiB + HOLES_MIB;
  const last = used > AMD_HOLE_MIB ? AMD_HOLE_END_MIB + used : used;
  return Math.max(PHYSICAL_BITS_MIN, 20 + Math.ceil(Math.log2(last)));
}

function numaCells(cpudef: Cpudef, memoryMiB: number): readonly XmlElement[] {
  if (cpudef.nodes <= 1) return [];
  const share = vcpus(cpudef) / cpudef.nodes;
  const cells = Array.from({ length: cpudef.nodes }, (_, id) => {
    const first = id * share;
    const cpus = share === 1 ? `${first}` : `${first}-${first + share - 1}`;
    return element("cell", { id, cpus, memory: memoryMiB / cpudef.nodes, unit: "MiB" });
  });
  return [element("numa", {}, cells)];
}
