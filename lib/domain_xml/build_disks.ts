import { DiskBus, DiskDevice } from "../model/enums.ts";
import { DEVICES_ROOT, isBelow } from "../model/paths.ts";
import { allDisks, type Disk, type Vmdef } from "../model/vm.ts";
import { CONTROLLERS, diskAlias } from "./alias.ts";
import { element, type XmlElement } from "./element.ts";

/** The disks of a domain with the controllers and I/O threads that they need. */
export interface DiskLayout {
  readonly disks: readonly XmlElement[];
  readonly controllers: readonly XmlElement[];
  readonly iothreads: number;
}

/** Ports of one AHCI controller. */
export const SATA_PORTS = 6;

/**
 * Lays out the disks (protocol.md §4): a virtio-blk disk has an I/O thread of its own; a scsi disk a controller of its
 * own, virtio-scsi with an I/O thread or lsilogic, from index 1 because controller 0 is kept for the cloud-init
 * seed; sata disks share controllers of six ports.
 *
 * libvirt keeps disks sorted by bus. The letter in the target's name is therefore the disk's position in the
 * definition, counted across buses, which is how the order is read back; guests choose names of their own.
 */
export function layOutDisks(def: Vmdef, iothreadsSupported: boolean): DiskLayout {
  const disks: XmlElement[] = [];
  const controllers: XmlElement[] = [scsiController(0, "virtio-scsi", undefined)];
  const counts = { virtio: 0, scsi: 1, sata: 0 };
  let iothreads = 0;
  let bootable = 0;
  const nextIothread = () => iothreadsSupported ? ++iothreads : undefined;

  for (const [position, disk] of allDisks(def).entries()) {
    const boot = position === 0 || disk.device === DiskDevice.cdrom ? ++bootable : undefined;
    let index: number;
    let iothread: number | undefined;
    let address: XmlElement | undefined;
    if (disk.bus === DiskBus.virtioBlk) {
      index = counts.virtio++;
      iothread = nextIothread();
    } else if (disk.bus === DiskBus.sata) {
      index = counts.sata++;
      address = driveAddress(Math.floor(index / SATA_PORTS), index % SATA_PORTS);
    } else {
      index = counts.scsi++;
      const onController = disk.bus === DiskBus.virtioScsi ? nextIothread() : undefined;
      controllers.push(scsiController(index, CONTROLLERS[disk.bus].model, onController));
      address = driveAddress(index, 0);
    }
    disks.push(diskElement(disk, { position, boot, iothread, alias: diskAlias(disk, index), address }));
  }
  return { disks, controllers, iothreads };
}

/** Where a disk goes; position: in the definition, counted across buses. */
export interface DiskPlace {
  readonly position: number;
  readonly boot: number | undefined;
  readonly iothread: number | undefined;
  readonly alias: string;
  readonly address: XmlElement | undefined;
}

/** A disk. */
export function diskElement(disk: Disk, place: DiskPlace): XmlElement {
  const block = isBelow(disk.path, DEVICES_ROOT);
  const lun = disk.device === DiskDevice.lun;
  const { type: bus } = CONTROLLERS[disk.bus];
  return element(
    "disk",
    { type: block ? "block" : "file", device: DEVICE_NAMES[disk.device] },
    element("driver", {
      name: "qemu",
      type: disk.path.endsWith(".qcow2") && !block ? "qcow2" : "raw",
      cache: lun ? "directsync" : "none",
      iothread: place.iothread,
    }),
    disk.path === "" ? undefined : sourceElement(disk),
    element("target", { dev: targetName(bus, place.position), bus }),
    disk.device === DiskDevice.cdrom ? element("readonly") : undefined,
    place.boot === undefined ? undefined : element("boot", { order: place.boot }),
    element("alias", { name: place.alias }),
    place.address,
  );
}

/** What is on it. */
export function sourceElement({ path, device }: Disk): XmlElement {
  const block = isBelow(path, DEVICES_ROOT);
  const reservations = device === DiskDevice.lun ? element("reservations", { managed: "yes" }) : undefined;
  return element("source", block ? { dev: path } : { file: path }, reservations);
}

const DEVICE_NAMES: Readonly<Record<DiskDevice, string>> = {
  [DiskDevice.disk]: "disk",
  [DiskDevice.cdrom]: "cdrom",
  [DiskDevice.lun]: "lun",
};

/** vda, sdb, …: 26 positions, of which a definition uses 21 and the seed the last. */
export function targetName(bus: string, position: number): string {
  return (bus === "virtio" ? "vd" : "sd") + String.fromCharCode("a".charCodeAt(0) + position);
}

export function driveAddress(controller: number, unit: number): XmlElement {
  return element("address", { type: "drive", controller, bus: 0, target: 0, unit });
}

/** A scsi controller, with an I/O thread of its own if it has a number. */
export function scsiController(index: number, model: string, iothread: number | undefined): XmlElement {
  return element(
    "controller",
    { type: "scsi", index, model },
    iothread === undefined ? undefined : element("driver", { iothread }),
  );
}
