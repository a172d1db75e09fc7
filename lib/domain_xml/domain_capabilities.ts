import { attribute, child, children, descend, integer, trimmedText, type XmlElement } from "./element.ts";
import { readXml } from "./read.ts";

/** What libvirt and QEMU offer to one machine type: the part of virConnectGetDomainCapabilities that virtxd uses. */
export interface DomainCapabilities {
  /** Path of the emulator. */
  readonly emulator: string;
  readonly domainType: string;
  /** The versioned name, such as pc-q35-7.2. */
  readonly machine: string;
  readonly arch: string;
  /** Most virtual CPUs; 0: not told. */
  readonly maxVcpus: number;
  readonly iothreads: boolean;
  /** Firmware that libvirt can choose by itself: efi, bios. */
  readonly firmware: ReadonlySet<string>;
  /** Firmware images. */
  readonly loaders: readonly string[];
  /** host-passthrough, maximum, host-model, custom. */
  readonly cpuModes: ReadonlySet<string>;
  /** Named models that libvirt knows; empty: not told. */
  readonly knownCpuModels: ReadonlySet<string>;
  /** Named models that this host can run. */
  readonly cpuModels: ReadonlySet<string>;
  readonly diskDevices: ReadonlySet<string>;
  readonly diskBuses: ReadonlySet<string>;
  /** undefined, here and below: this libvirt does not list them. */
  readonly videoModels: ReadonlySet<string> | undefined;
  readonly rngBackends: ReadonlySet<string> | undefined;
  readonly genid: boolean;
}

/** Reads what virConnectGetDomainCapabilities returns (libvirt's formatdomaincaps). */
export function parseDomainCapabilities(xml: string): DomainCapabilities {
  const root = readXml(xml, "domainCapabilities");
  const cpu = child(root, "cpu");
  const devices = child(root, "devices");
  const custom = children(cpu, "mode").find((mode) => attribute(mode, "name") === "custom");
  return {
    emulator: trimmedText(child(root, "path")),
    domainType: trimmedText(child(root, "domain")),
    machine: trimmedText(child(root, "machine")),
    arch: trimmedText(child(root, "arch")),
    maxVcpus: integer(attribute(child(root, "vcpu"), "max")) ?? 0,
    iothreads: isSupported(child(root, "iothreads")),
    firmware: enumValues(child(root, "os"), "firmware") ?? new Set(),
    loaders: children(descend(root, "os", "loader"), "value").map(trimmedText),
    cpuModes: new Set(
      children(cpu, "mode").filter(isSupported).map((mode) => attribute(mode, "name") ?? ""),
    ),
    knownCpuModels: new Set(children(custom, "model").map(trimmedText)),
    cpuModels: new Set(
      children(custom, "model").filter((model) => attribute(model, "usable") === "yes").map(trimmedText),
    ),
    diskDevices: enumValues(child(devices, "disk"), "diskDevice") ?? new Set(),
    diskBuses: enumValues(child(devices, "disk"), "bus") ?? new Set(),
    videoModels: enumValues(child(devices, "video"), "modelType"),
    rngBackends: enumValues(child(devices, "rng"), "backendModel"),
    genid: isSupported(descend(root, "features", "genid")),
  };
}

/** Kinds of devices that not every host can give a guest, and where virConnectGetDomainCapabilities lists what there is of each. */
const OFFERED = [["graphics", "type"], ["video", "modelType"], ["tpm", "backendModel"]] as const;

/** What a host offers of such devices, by kind; a kind that its libvirt does not list is left out. */
export function parseOfferedDevices(xml: string): ReadonlyMap<string, ReadonlySet<string>> {
  const devices = child(readXml(xml, "domainCapabilities"), "devices");
  return new Map(OFFERED.flatMap(([kind, list]) => {
    const types = enumValues(child(devices, kind), list);
    return types === undefined ? [] : [[kind, types]];
  }));
}

function isSupported(of: XmlElement | undefined): boolean {
  return attribute(of, "supported") === "yes";
}

/** The values of `<enum name=…>` within an element; an element that is not supported has none. */
function enumValues(of: XmlElement | undefined, name: string): ReadonlySet<string> | undefined {
  if (of === undefined) return undefined;
  const values = children(of, "enum").find((candidate) => attribute(candidate, "name") === name);
  return new Set(isSupported(of) ? children(values, "value").map(trimmedText) : []);
}
