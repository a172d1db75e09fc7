import { attribute, child, children, descend, trimmedText, type XmlElement } from "./element.ts";
import { readXml } from "./read.ts";

/** What of a domain's XML decides on which hosts it can run. */
export interface Platform {
  readonly arch: string;
  /** kvm, qemu, test. */
  readonly domainType: string;
  /** Versioned, as libvirt completes it: pc-i440fx-7.2; empty: none is given. */
  readonly machine: string;
  /** Path; empty: none is given. */
  readonly emulator: string;
  /** custom, host-model, host-passthrough, maximum; empty: QEMU's default processor. */
  readonly cpuMode: string;
  /** The whole `<cpu>` element as it stands; empty: there is none. */
  readonly cpu: string;
  /** Devices that tie a guest that runs to its host, in words. */
  readonly unmovable: readonly string[];
}

/** Reads a domain's XML as libvirt prints it. @throws VirtxError `internal` if it is not well-formed or no `<domain>` */
export function parsePlatform(xml: string): Platform {
  const domain = readXml(xml, "domain", "kept");
  const type = descend(domain, "os", "type");
  return {
    arch: attribute(type, "arch") ?? "",
    domainType: attribute(domain, "type") ?? "",
    machine: attribute(type, "machine") ?? "",
    emulator: trimmedText(descend(domain, "devices", "emulator")),
    cpuMode: attribute(child(domain, "cpu"), "mode") ?? (child(domain, "cpu") ? "custom" : ""),
    cpu: cpuElementOf(xml),
    unmovable: unmovableDevices(child(domain, "devices")),
  };
}

/** The prototype gives one to each VM that it makes. */
const VDAGENT =
  "a qemu-vdagent channel, with which QEMU migrates no guest that runs; stop it and migrate it cold, or remove the channel " +
  "while it is off (virsh edit)";

/** Devices of the host itself, directories of it, and what QEMU cannot migrate (qemu-vdagent, before QEMU 10.1). */
function unmovableDevices(devices: XmlElement | undefined): readonly string[] {
  const agents = children(devices, "channel").filter((channel) =>
    attribute(channel, "type") === "qemu-vdagent"
  );
  return [
    ...children(devices, "hostdev").map((device) => `a device of the host (${attribute(device, "type")})`),
    ...children(devices, "filesystem").map(() => "a directory of the host"),
    ...agents.map(() => VDAGENT),
  ];
}

/** The host's own `<cpu>` element in what virConnectGetCapabilities returns. */
export function hostCpuOf(capabilitiesXml: string): string {
  return /\n {4}(<cpu>[^]*?\n {4}<\/cpu>)/.exec(capabilitiesXml)?.[1] ?? "";
}

/** Found by libvirt's indentation: nothing deeper, such as metadata, can be taken for it. */
function cpuElementOf(xml: string): string {
  return /\n {2}(<cpu(?: [^>\n]*)?\/>|<cpu(?: [^>\n]*)?>[^]*?\n {2}<\/cpu>)/.exec(xml)?.[1] ?? "";
}
