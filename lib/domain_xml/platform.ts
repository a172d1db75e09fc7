import { attribute, child, children, descend, trimmedText, type XmlElement } from "./element.ts";
import { readXml } from "./read.ts";
import { isBelow, SHARED_ROOT } from "../model/paths.ts";

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
  /** As libvirt knows it, unique on a host: virtxd's own have their UUID there. */
  readonly name: string;
  /** Its graphics, video cards and TPMs, which not every host offers: element, and type as libvirt names it. */
  readonly devices: readonly { readonly kind: string; readonly type: string }[];
  /** What ties it to its host, those included, in words. */
  readonly bound: readonly string[];
  /** What ties it to its host while it runs, in words. */
  readonly unmovable: readonly string[];
  /** What of it, if it is off, is on its host alone, in words. */
  readonly local: readonly string[];
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
    name: trimmedText(child(domain, "name")),
    devices: specialDevices(child(domain, "devices")),
    bound: boundParts(domain),
    unmovable: unmovableDevices(child(domain, "devices")),
    local: localState(child(domain, "devices")),
  };
}

/** The prototype gives one to each VM that it makes. */
const VDAGENT =
  "a qemu-vdagent channel, with which QEMU migrates no guest that runs; stop it and migrate it cold, or remove the channel " +
  "while it is off (virsh edit)";

function specialDevices(devices: XmlElement | undefined): Platform["devices"] {
  const found = [
    ...children(devices, "graphics").map((device) => ({ kind: "graphics", type: attribute(device, "type") })),
    ...children(devices, "video").map((device) => ({
      kind: "video",
      type: attribute(child(device, "model"), "type"),
    })),
    ...children(devices, "tpm").map((device) => ({
      kind: "tpm",
      type: attribute(child(device, "backend"), "type"),
    })),
  ];
  return found.flatMap(({ kind, type }) => type === undefined ? [] : [{ kind, type }]);
}

/** Devices and directories of the host itself, and files that are not on shared storage. */
function boundParts(domain: XmlElement): readonly string[] {
  const devices = child(domain, "devices");
  const boot = ["kernel", "initrd", "dtb"].map((name) => trimmedText(descend(domain, "os", name)));
  return [
    ...children(devices, "hostdev").map((device) =>
      `a device of this host (${attribute(device, "type") ?? "hostdev"}); remove it first`
    ),
    ...children(devices, "interface").filter((entry) => attribute(entry, "type") === "hostdev").map(() =>
      "a network card of this host; replace it by an interface on a bridge first"
    ),
    ...hostInterfaces(devices).map((device) =>
      `an interface on this host's device ${device} (macvtap); put it on a bridge first`
    ),
    ...children(devices, "filesystem").map((entry) => attribute(child(entry, "source"), "dir") ?? "")
      .filter((directory) => !isBelow(directory, SHARED_ROOT))
      .map((directory) => `the directory "${directory}" of this host; remove it first`),
    ...children(devices, "tpm").filter((tpm) => attribute(child(tpm, "backend"), "type") === "passthrough")
      .map(() => "this host's TPM; remove it first"),
    ...boot.filter((path) => path !== "" && !isBelow(path, SHARED_ROOT)).map((path) =>
      `the file ${path} of this host; put it below ${SHARED_ROOT} first`
    ),
  ];
}

/** The devices of the host that interfaces without a network share (macvtap). */
function hostInterfaces(devices: XmlElement | undefined): readonly string[] {
  return children(devices, "interface").filter((entry) => attribute(entry, "type") === "direct")
    .map((entry) => child(entry, "source")).filter((source) => attribute(source, "network") === undefined)
    .map((source) => attribute(source, "dev") ?? "");
}

/** A TPM's memory goes along with a guest that runs, and with no other. */
function localState(devices: XmlElement | undefined): readonly string[] {
  return children(devices, "tpm").filter((tpm) => attribute(child(tpm, "backend"), "type") === "emulator")
    .map(() => "a TPM, whose memory libvirt keeps on this host; start it and migrate it live");
}

/** What QEMU cannot migrate: qemu-vdagent (before QEMU 10.1), directories, and a disk that is just being copied. */
function unmovableDevices(devices: XmlElement | undefined): readonly string[] {
  const agents = children(devices, "channel").filter((channel) =>
    attribute(channel, "type") === "qemu-vdagent"
  );
  const copied = children(devices, "disk").filter((disk) => child(disk, "mirror") !== undefined);
  return [
    ...children(devices, "filesystem").map(() =>
      "a directory that QEMU shares with it; stop it and migrate it cold, or remove the directory while it is off"
    ),
    ...copied.map((disk) => {
      const target = attribute(child(disk, "target"), "dev");
      return `disk ${target} that is just being copied; end that first (virsh blockjob … ${target})`;
    }),
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
