import { DiskBus, DiskDevice, DiskManagement, DiskProvisioning, NetModel, NetType } from "../model/enums.ts";
import type { Disk, Net } from "../model/vm.ts";
import { CONTROLLERS, parseDiskAlias } from "./alias.ts";
import { attribute, child, children, integer, type XmlElement } from "./element.ts";
import { isSeed } from "./seed.ts";

/** Stands where a definition must have an OS disk and the domain has none. */
export const NO_DISK: Disk = {
  path: "",
  device: DiskDevice.disk,
  bus: DiskBus.virtioBlk,
  man: DiskManagement.unmanaged,
  prov: DiskProvisioning.none,
  size: 0,
};

/** The disks of `<devices>`, in the order of {@link diskElements}. */
export function parseDisks(devices: XmlElement | undefined): [Disk, ...Disk[]] {
  const scsiModels = scsiControllerModels(devices);
  const [osdisk, ...others] = diskElements(devices?.children ?? []);
  if (osdisk === undefined) return [NO_DISK];
  return [parseDisk(osdisk, scsiModels), ...others.map((disk) => parseDisk(disk, scsiModels))];
}

/**
 * Those of the devices that are disks of the model, the OS disk first: the one that boots first, else the first that is no
 * CD-ROM. Seeds and floppies are no part of the model.
 */
export function diskElements<E extends XmlElement>(devices: readonly E[]): E[] {
  const entries = devices.filter((device) =>
    device.name === "disk" && !isSeed(device) && attribute(device, "device") !== "floppy"
  );
  const osdisk = firstBootable(entries) ??
    entries.find((disk) => attribute(disk, "device") !== "cdrom") ?? entries[0];
  if (osdisk === undefined) return [];
  return [osdisk, ...inDefinitionOrder(entries).filter((disk) => disk !== osdisk)];
}

function firstBootable<E extends XmlElement>(disks: readonly E[]): E | undefined {
  const order = (disk: E) => integer(attribute(child(disk, "boot"), "order")) ?? Infinity;
  return disks.filter((disk) => order(disk) < Infinity).toSorted((a, b) => order(a) - order(b))[0];
}

/**
 * libvirt sorts disks by bus; ours carry their position in the last letter of the target's name, counted across buses.
 * Where two disks share a letter they were not numbered that way, and the document's order is the only one.
 */
function inDefinitionOrder<E extends XmlElement>(disks: readonly E[]): readonly E[] {
  const letter = (disk: E) => (attribute(child(disk, "target"), "dev") ?? "").slice(2);
  const distinct = new Set(disks.map(letter)).size === disks.length;
  if (!distinct || !disks.every((disk) => /^[a-z]$/.test(letter(disk)))) return disks;
  return disks.toSorted((a, b) => letter(a) < letter(b) ? -1 : 1);
}

/** The model of each scsi controller, by index. */
function scsiControllerModels(devices: XmlElement | undefined): ReadonlyMap<string, string> {
  const scsi = children(devices, "controller").filter((entry) => attribute(entry, "type") === "scsi");
  return new Map(scsi.map((entry) => [attribute(entry, "index") ?? "", attribute(entry, "model") ?? ""]));
}

function parseDisk(disk: XmlElement, scsiModels: ReadonlyMap<string, string>): Disk {
  const controller = attribute(child(disk, "address"), "controller") ?? "0";
  const bus = attribute(child(disk, "target"), "bus") ?? "";
  return {
    path: sourcePath(disk),
    device: parseDevice(attribute(disk, "device")),
    bus: parseBus(bus, scsiModels.get(controller)),
    ...parseDiskAlias(attribute(child(disk, "alias"), "name")),
    size: 0,
  };
}

/** A file or device; for other kinds of source what names it best, which no rule for paths accepts. */
function sourcePath(disk: XmlElement): string {
  const source = child(disk, "source");
  const path = attribute(source, "file") ?? attribute(source, "dev") ?? attribute(source, "dir");
  if (path !== undefined) return path;
  const type = attribute(disk, "type") ?? "file";
  const kind = attribute(source, "protocol") ?? attribute(source, "pool") ??
    (["file", "block", "dir"].includes(type) ? undefined : type);
  const name = attribute(source, "name") ?? attribute(source, "volume") ?? attribute(source, "path") ?? "";
  return kind === undefined ? "" : `${kind}:${name}`;
}

function parseDevice(device: string | undefined): DiskDevice {
  if (device === "cdrom") return DiskDevice.cdrom;
  return device === "lun" ? DiskDevice.lun : DiskDevice.disk;
}

/** Buses that the model lacks (ide, usb) are nearest to sata; scsi controllers other than lsilogic to virtio-scsi. */
function parseBus(bus: string, scsiModel: string | undefined): DiskBus {
  if (bus === "virtio") return DiskBus.virtioBlk;
  if (bus !== "scsi") return DiskBus.sata;
  return scsiModel === CONTROLLERS[DiskBus.scsi].model ? DiskBus.scsi : DiskBus.virtioScsi;
}

/**
 * One interface. Kinds other than network and bridge are told as the model has them (see isKeptNet), with what they use. In live
 * XML an interface of a network has the type of what the network connects to, but still names the network.
 */
export function parseInterface(entry: XmlElement): Net {
  const source = child(entry, "source");
  const network = attribute(source, "network");
  const type = attribute(entry, "type") ?? "";
  const model = attribute(child(entry, "model"), "type") ?? "virtio";
  return {
    name: network ?? (type === "bridge" ? attribute(source, "bridge") ?? "" : `${type}:${usedBy(source)}`),
    nettype: network === undefined ? NetType.bridge : NetType.network,
    model: parseNetModel(model),
    mac: (attribute(child(entry, "mac"), "address") ?? "").toLowerCase(),
  };
}

/** What of the host an interface uses: a device, a socket, a PCI address; empty: nothing that has a name. */
function usedBy(source: XmlElement | undefined): string {
  const address = child(source, "address");
  const part = (name: string) => (attribute(address, name) ?? "").replace(/^0x/, "");
  const pci = address && `${part("domain")}:${part("bus")}:${part("slot")}.${part("function")}`;
  return attribute(source, "dev") ?? attribute(source, "path") ?? attribute(source, "name") ?? pci ?? "";
}

/** Models that the model lacks (rtl8139, …) are, like e1000, emulated cards of their time. */
function parseNetModel(model: string): NetModel {
  if (model.startsWith("virtio")) return NetModel.virtio;
  return model === "e1000e" ? NetModel.e1000e : NetModel.e1000;
}
