import { Firmware, NetModel, NetType } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { Operation } from "../model/operation.ts";
import { variablesPath } from "../model/paths.ts";
import { type Net, vcpus, type Vmdef } from "../model/vm.ts";
import { cpuElement, effectiveCpuModel } from "./build_cpu.ts";
import { layOutDisks } from "./build_disks.ts";
import type { DomainContext } from "./context.ts";
import { element, printXml, type XmlElement } from "./element.ts";
import { type Asked, metadataElement } from "./metadata.ts";

/** The machine type that a firmware implies (protocol.md §1); aarch64 has one for all. */
export function machineType(arch: string, firmware: Firmware): string {
  if (arch === "aarch64") return "virt";
  return firmware === Firmware.uefi ? "q35" : "pc";
}

/**
 * Writes a definition as libvirt domain XML (protocol.md §4), for virDomainDefineXMLFlags on the host of the context.
 * What that host cannot do and the guest can do without is left out; what it asked for and cannot be seen in the XML
 * then is kept in the metadata, so that {@link parseDomainXml} gives back the same definition. The definition must be
 * valid. The records of `operations` that the VM has already go along.
 *
 * @throws VirtxError `invalid` if the architecture lacks what the guest cannot do without.
 */
export function buildDomainXml(
  uuid: string,
  def: Vmdef,
  context: DomainContext,
  operations: readonly Operation[] = [],
): string {
  const layout = layOutDisks(def, context.capabilities?.iothreads ?? true);
  return printXml(element(
    "domain",
    { type: context.domainType },
    element("name", {}, uuid),
    element("uuid", {}, uuid),
    genidElement(def, context),
    element("title", {}, def.name),
    element("description", {}, def.name),
    metadataElement(def.custom, askedOf(def, context), operations),
    element("memory", { unit: "MiB" }, def.memory.total),
    element("currentMemory", { unit: "MiB" }, def.memory.total),
    def.memory.hp ? memoryBackingElement(def) : undefined,
    element("vcpu", {}, vcpus(def.cpudef)),
    layout.iothreads > 0 ? element("iothreads", {}, layout.iothreads) : undefined,
    def.numa.placement ? numatuneElement() : undefined,
    osElement(uuid, def, context),
    featuresElement(context),
    cpuElement(def, context),
    clockElement(context),
    powerManagement(context),
    element(
      "devices",
      {},
      emulatorElement(context),
      layout.disks,
      layout.controllers,
      def.nets.map((net) => interfaceElement(net, def.vlanid)),
      fixedDevices(context),
    ),
  ));
}

/** libvirt's test driver names no emulator, and from libvirt 11 on an empty one is refused. */
function emulatorElement({ capabilities }: DomainContext): XmlElement | undefined {
  return capabilities?.emulator ? element("emulator", {}, capabilities.emulator) : undefined;
}

function hasGenid(context: DomainContext): boolean {
  return context.capabilities?.genid ?? true;
}

/** An empty `<genid>` makes libvirt generate one. */
function genidElement(def: Vmdef, context: DomainContext): XmlElement | undefined {
  if (def.genid === "" || !hasGenid(context)) return undefined;
  return element("genid", {}, def.genid === "auto" ? "" : def.genid);
}

/** What the XML of a definition on this host has no place for. */
export function askedOf(def: Vmdef, context: DomainContext): Asked {
  return {
    ...(effectiveCpuModel(def.cpudef.model, context) !== def.cpudef.model && { cpuModel: def.cpudef.model }),
    ...(def.genid !== "" && !hasGenid(context) && { genid: def.genid }),
    ...(def.vlanid !== 0 && def.nets.length === 0 && { vlanid: def.vlanid }),
  };
}

/** Memory of huge pages. */
export function memoryBackingElement(def: Vmdef): XmlElement {
  return element(
    "memoryBacking",
    {},
    element("hugepages"),
    element("allocation", { mode: "immediate", threads: vcpus(def.cpudef) }),
  );
}

/** Has numad place the guest. */
export function numatuneElement(): XmlElement {
  return element("numatune", {}, element("memory", { mode: "strict", placement: "auto" }));
}

/**
 * The firmware is libvirt's to choose. `bios` is what a machine has without being told, so it is only named where
 * libvirt knows it; `<bios>` marks it in any case. Where a firmware with Secure Boot would be chosen first, guests
 * without signatures could not boot: so it is declined. Its variables are on shared storage.
 */
function osElement(uuid: string, def: Vmdef, context: DomainContext): XmlElement {
  const { arch } = context;
  if (arch === "aarch64" && def.firmware !== Firmware.uefi) {
    throw new VirtxError("invalid", `Cannot define VM "${def.name}": aarch64 machines have no BIOS`, {
      issues: [{ field: "firmware", message: "must be uefi (1) on aarch64" }],
    });
  }
  const type = element("type", { arch, machine: machineName(def, context) }, "hvm");
  if (def.firmware === Firmware.uefi) {
    const declined = element("firmware", {}, element("feature", { enabled: "no", name: "secure-boot" }));
    const variables = context.domainType === "test" ? undefined : element("nvram", {}, variablesPath(uuid));
    return element("os", { firmware: "efi" }, type, arch === "aarch64" ? undefined : declined, variables);
  }
  const firmware = context.capabilities?.firmware.has("bios") ? "bios" : undefined;
  return element("os", { firmware }, type, element("bios", { useserial: "no", rebootTimeout: -1 }));
}

/** The test driver knows no machine types. */
function machineName(def: Vmdef, context: DomainContext): string | undefined {
  return context.domainType === "test" ? undefined : machineType(context.arch, def.firmware);
}

function featuresElement(context: DomainContext): XmlElement {
  const kvm = context.domainType === "kvm";
  if (context.arch === "aarch64") return element("features", {}, element("acpi"));
  return element(
    "features",
    {},
    element("acpi"),
    // Both are KVM's own.
    element("apic", { eoi: kvm ? "on" : undefined }),
    element("vmport", { state: "off" }),
    kvm ? element("ioapic", { driver: "kvm" }) : undefined,
  );
}

function clockElement(context: DomainContext): XmlElement {
  const kvmclock = context.domainType === "kvm" && context.arch !== "aarch64";
  return element(
    "clock",
    { offset: "utc" },
    kvmclock ? element("timer", { name: "kvmclock", present: "yes" }) : undefined,
  );
}

/** Neither S3 nor S4: a sleeping guest cannot be reached, nor migrated. aarch64 machines have neither to switch off. */
function powerManagement(context: DomainContext): XmlElement | undefined {
  if (context.arch === "aarch64") return undefined;
  return element(
    "pm",
    {},
    element("suspend-to-mem", { enabled: "no" }),
    element("suspend-to-disk", { enabled: "no" }),
  );
}

const NET_MODELS: Readonly<Record<NetModel, string>> = {
  [NetModel.virtio]: "virtio",
  [NetModel.e1000e]: "e1000e",
  [NetModel.e1000]: "e1000",
};

/**
 * The VLAN goes on every interface. Where the network cannot tag, libvirt refuses to start the guest; leaving the tag out instead
 * would put the guest on a network that its owner did not choose.
 */
export function interfaceElement(net: Net, vlanid: number): XmlElement {
  const bridge = net.nettype === NetType.bridge;
  return element(
    "interface",
    { type: bridge ? "bridge" : "network" },
    net.mac === "" ? undefined : element("mac", { address: net.mac }),
    element("source", bridge ? { bridge: net.name } : { network: net.name }),
    vlanid === 0 ? undefined : element("vlan", {}, element("tag", { id: vlanid })),
    element("model", { type: NET_MODELS[net.model] }),
  );
}

/**
 * The devices that every guest has alike. There is no channel for a SPICE agent (protocol.md §4): libvirt refuses "spicevmc" without
 * SPICE graphics, and a guest with QEMU's own end of it ("qemu-vdagent") cannot be migrated.
 */
function fixedDevices(context: DomainContext): readonly XmlElement[] {
  const { capabilities } = context;
  const has = (known: ReadonlySet<string> | undefined, name: string) => known?.has(name) ?? true;
  return [
    element("serial", { type: "pty" }, element("target", { port: 0 })),
    element("console", { type: "pty" }, element("target", { type: "serial", port: 0 })),
    element("console", { type: "pty" }, element("target", { type: "virtio", port: 1 })),
    element("graphics", { type: "vnc", port: -1, autoport: "yes" }),
    element("audio", { id: 1, type: "none" }),
    has(capabilities?.videoModels, "virtio")
      ? element("video", {}, element("model", { type: "virtio", heads: 1, primary: "yes" }))
      : undefined,
    element("memballoon", { model: "none" }),
    has(capabilities?.rngBackends, "random")
      ? element("rng", { model: "virtio" }, element("backend", { model: "random" }, "/dev/urandom"))
      : undefined,
  ].filter((device) => device !== undefined);
}
