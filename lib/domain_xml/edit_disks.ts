import { DiskBus, DiskDevice, DiskManagement } from "../model/enums.ts";
import { leaseKey } from "../model/lease_key.ts";
import { allDisks, type Disk, type Vmdef } from "../model/vm.ts";
import { CONTROLLERS, diskAlias, isOwnAlias } from "./alias.ts";
import { diskElement, driveAddress, SATA_PORTS, scsiController, sourceElement } from "./build_disks.ts";
import type { XmlNode } from "./document.ts";
import { type Edit, matchDevices, refusal, textNumber } from "./editing.ts";
import { attribute, child, descend, element, integer, type XmlElement } from "./element.ts";
import { diskElements } from "./parse_devices.ts";

/** A disk that stays, and what it is to be. */
interface Kept {
  readonly node: XmlNode;
  readonly before: Disk;
  readonly after: Disk;
}

/** Disks with their controllers and I/O threads: those that stay keep their place on the bus, and all that is set on them. */
export function editDisks(edit: Edit): void {
  const { devices, from, to } = edit;
  const nodes = diskElements(devices.children);
  const old = nodes.map((node, at) => ({ node, disk: allDisks(from)[at] as Disk }));
  const wanted = allDisks(to);
  const matches = matchDisks(old.map(({ disk }) => disk), wanted);
  const places = new Places(edit);
  const boots = new Boots(edit, nodes[0]);
  for (const [at, { node }] of old.entries()) {
    if (!matches.includes(at)) places.free(node);
  }
  dropLeases(edit);
  let first: XmlNode | undefined;
  for (const [index, after] of wanted.entries()) {
    if (nodes.length === 0 && isNoDisk(after)) continue;
    const match = old[matches[index] ?? -1];
    const node = match
      ? change({ node: match.node, before: match.disk, after }, places)
      : places.add(after, boots.orderOfNew(after, index));
    if (index === 0) first = node;
  }
  boots.begin(first);
}

/** What stands for the OS disk of a VM that has no disk. */
function isNoDisk({ path, device }: Disk): boolean {
  return path === "" && device !== DiskDevice.cdrom;
}

/** The leases of managed disks go with them, or the VM could not start once the disk, and its lease, are deleted. */
function dropLeases({ devices, from, to }: Edit): void {
  const keysOf = (def: Vmdef) =>
    allDisks(def).flatMap(({ path, man }) => man === DiskManagement.managed ? leaseKey(path) ?? [] : []);
  const gone = new Set(keysOf(from)).difference(new Set(keysOf(to)));
  for (const node of devices.children) {
    if (node.name === "lease" && gone.has(node.child("key")?.text.trim() ?? "")) devices.remove(node);
  }
}

/**
 * Disks are told in the order of the letters in their names, which guests do not see: where the order is not the wanted one,
 * the letters are given anew.
 */
export function keepDiskOrder({ devices, to }: Edit, told: Vmdef): void {
  const paths = (def: Vmdef) => JSON.stringify(allDisks(def).map(({ path }) => path));
  if (paths(told) === paths(to)) return;
  const nodes = diskElements(devices.children);
  const letters = nodes.map((node) => attribute(child(node, "target"), "dev")?.slice(2) ?? "");
  if (new Set(letters).size !== nodes.length || letters.some((letter) => !/^[a-z]$/.test(letter))) return;
  const wanted = allDisks(to).map(({ path }) => path);
  for (const [at, node] of nodes.entries()) {
    const path = allDisks(told)[at]?.path ?? "";
    const target = node.child("target");
    const prefix = attribute(target, "dev")?.slice(0, 2) ?? "sd";
    target?.set("dev", prefix + String.fromCharCode("a".charCodeAt(0) + wanted.indexOf(path)));
  }
}

/** For each disk that is wanted, which of the old ones it is; -1: none. A CD-ROM drive stays, whatever is put into it. */
function matchDisks(old: readonly Disk[], wanted: readonly Disk[]): number[] {
  const isDrive = (disk: Disk) => disk.device === DiskDevice.cdrom;
  return matchDevices(old, wanted, [
    (before, after) => before.path === after.path,
    (before, after) => isDrive(before) && isDrive(after) && before.bus === after.bus,
  ]);
}

/** Makes a disk what it is to be; where another bus needs another place, all else that is set on it goes along. */
function change({ node, before, after }: Kept, places: Places): XmlNode {
  if (before.bus !== after.bus || before.device !== after.device) return places.move(node, after);
  if (before.man !== after.man || before.prov !== after.prov) {
    node.put(node.child("alias"), element("alias", { name: places.alias(after, node) }));
  }
  if (before.path !== after.path) {
    node.child("driver")?.set("type", after.path.endsWith(".qcow2") ? "qcow2" : "raw");
    node.remove(node.child("backingStore"));
    if (after.path === "") node.remove(node.child("source"));
    else {
      node.put(node.child("source"), sourceElement(after));
      node.set("type", attribute(diskElement(after, NO_PLACE), "type"));
    }
  }
  return node;
}

const NO_PLACE = { position: 0, boot: undefined, iothread: undefined, alias: "", address: undefined };

/** What {@link diskElement} writes; the rest of a `<disk>` is somebody else's. */
const OURS = ["driver", "source", "target", "readonly", "boot", "alias", "address", "backingStore"];

/** Where disks can go: what is taken, and what is free. */
class Places {
  readonly #edit: Edit;

  constructor(edit: Edit) {
    this.#edit = edit;
  }

  /** Takes a disk away, with the controller that virtxd made for it alone. */
  free(node: XmlNode): void {
    const { devices } = this.#edit;
    devices.remove(node);
    this.#freeController(node);
  }

  add(disk: Disk, boot: number | undefined): XmlNode {
    const { devices } = this.#edit;
    const fresh = this.#element(disk, boot, this.#position());
    const last = devices.children.findLast(({ name }) => name === "disk");
    return devices.insertAfter(last ?? devices.child("emulator"), fresh);
  }

  move(node: XmlNode, disk: Disk): XmlNode {
    const { devices } = this.#edit;
    const letter = attribute(child(node, "target"), "dev")?.slice(2) ?? "";
    const position = /^[a-z]$/.test(letter) ? letter.charCodeAt(0) - "a".charCodeAt(0) : this.#position();
    const fresh = this.#element(disk, integer(attribute(child(node, "boot"), "order")), position);
    const others = node.children.filter(({ name }) => !OURS.includes(name));
    const moved = devices.put(node, { ...fresh, children: [...fresh.children, ...others] });
    this.#freeController(node);
    return moved;
  }

  /** An alias that no other device has. */
  alias(disk: Disk, except?: XmlNode): string {
    const others = this.#edit.devices.children.filter((device) => device !== except);
    const taken = new Set(others.map((device) => attribute(child(device, "alias"), "name")));
    for (let index = 0;; index++) {
      const alias = diskAlias(disk, index);
      if (!taken.has(alias)) return alias;
    }
  }

  #element(disk: Disk, boot: number | undefined, position: number): XmlElement {
    const place = { position, boot, alias: this.alias(disk) };
    if (disk.bus === DiskBus.virtioBlk) {
      return diskElement(disk, { ...place, iothread: this.#iothread(), address: undefined });
    }
    if (disk.bus === DiskBus.sata) {
      return diskElement(disk, { ...place, iothread: undefined, address: this.#sataAddress() });
    }
    const index = this.#addScsiController(disk);
    return diskElement(disk, { ...place, iothread: undefined, address: driveAddress(index, 0) });
  }

  /** Behind all others, so that it is told as the last; else the first that is free. */
  #position(): number {
    const names = this.#edit.devices.children.map((device) =>
      attribute(child(device, "target"), "dev") ?? ""
    );
    const taken = names.filter((name) => /^[a-z]d[a-y]$/.test(name)).map((name) =>
      name.charCodeAt(2) - "a".charCodeAt(0)
    );
    const next = Math.max(-1, ...taken) + 1;
    if (next < SEED_POSITION) return next;
    const free = Array.from({ length: SEED_POSITION }, (_, at) => at).find((at) => !taken.includes(at));
    if (free === undefined) throw refusal(this.#edit.to, "disks", "are too many");
    return free;
  }

  #iothread(): number | undefined {
    const { domain, devices, context } = this.#edit;
    if (context.capabilities?.iothreads === false) return undefined;
    const used = new Set(devices.children.map((device) => attribute(child(device, "driver"), "iothread")));
    const threads = domain.child("iothreads");
    const count = textNumber(threads) ?? 0;
    for (let id = 1; id <= count; id++) if (!used.has(String(id))) return id;
    if (threads) threads.setText(count + 1);
    else domain.insertAfter(domain.child("vcpu"), element("iothreads", {}, count + 1));
    return count + 1;
  }

  #addScsiController(disk: Disk): number {
    const { devices } = this.#edit;
    const taken = this.#controllers().map((controller) => attribute(controller, "index"));
    let index = 1; // 0 is kept for the cloud-init seed
    while (taken.includes(String(index))) index++;
    const iothread = disk.bus === DiskBus.virtioScsi ? this.#iothread() : undefined;
    const last = devices.children.findLast(({ name }) => name === "controller" || name === "disk");
    devices.insertAfter(last, scsiController(index, CONTROLLERS[disk.bus].model, iothread));
    return index;
  }

  #sataAddress(): XmlElement {
    const taken = this.#edit.devices.children
      .filter((device) => attribute(child(device, "target"), "bus") === "sata")
      .map((device) => child(device, "address"))
      .map((address) => `${attribute(address, "controller") ?? 0}.${attribute(address, "unit") ?? 0}`);
    for (let at = 0;; at++) {
      const [controller, unit] = [Math.floor(at / SATA_PORTS), at % SATA_PORTS];
      if (!taken.includes(`${controller}.${unit}`)) return driveAddress(controller, unit);
    }
  }

  #controllers(): XmlNode[] {
    return this.#edit.devices.children.filter((device) =>
      device.name === "controller" && attribute(device, "type") === "scsi"
    );
  }

  #freeController(disk: XmlNode): void {
    const index = attribute(child(disk, "address"), "controller");
    const own = isOwnAlias(attribute(child(disk, "alias"), "name"));
    if (attribute(child(disk, "target"), "bus") !== "scsi" || !own || index === undefined || index === "0") {
      return;
    }
    const { devices } = this.#edit;
    const shared = devices.children.some((device) => {
      const address = child(device, "address");
      const isScsi = attribute(child(device, "target"), "bus") === "scsi" || device.name === "hostdev";
      return isScsi && attribute(address, "type") === "drive" && attribute(address, "controller") === index;
    });
    if (!shared) {
      devices.remove(this.#controllers().find((controller) => attribute(controller, "index") === index));
    }
  }
}

/** The letter of the seed's name, z: disks have those before it. */
const SEED_POSITION = 25;

/** The order in which a guest looks for what to boot: by device, or in `<os>`, which must not be mixed. */
class Boots {
  readonly #edit: Edit;
  readonly #before: XmlNode | undefined;
  /** The order of the first disk as it was; undefined: it is not told by device. */
  readonly #first: number | undefined;

  constructor(edit: Edit, osdisk: XmlNode | undefined) {
    this.#edit = edit;
    this.#before = osdisk;
    this.#first = orderOf(osdisk);
  }

  /** For a disk that is added: the OS disk takes the place of the old one, a CD-ROM comes last. */
  orderOfNew(disk: Disk, index: number): number | undefined {
    const { domain, devices } = this.#edit;
    if (descend(domain, "os", "boot") || (index > 0 && disk.device !== DiskDevice.cdrom)) return undefined;
    if (index === 0) return undefined; // {@link begin} sees to it
    return Math.max(0, ...devices.children.map((device) => orderOf(device) ?? 0)) + 1;
  }

  /** Makes the guest boot from this disk before the others. */
  begin(osdisk: XmlNode | undefined): void {
    const { domain, devices } = this.#edit;
    if (osdisk === undefined || descend(domain, "os", "boot")) return;
    const disks = diskElements(devices.children);
    if (disks[0] === osdisk && orderOf(osdisk) !== undefined) return;
    if (disks[0] === osdisk && this.#before === osdisk) return; // nothing tells an order, and nothing has to
    const orders = disks.flatMap((disk) => orderOf(disk) ?? []);
    const first = Math.min(this.#first ?? Infinity, ...orders, ...(orders.length === 0 ? [1] : []));
    const holder = disks.find((disk) => disk !== osdisk && orderOf(disk) === first);
    const given = orderOf(osdisk);
    if (holder) setOrder(holder, given);
    setOrder(osdisk, first);
  }
}

function orderOf(device: XmlNode | undefined): number | undefined {
  return integer(attribute(child(device, "boot"), "order"));
}

function setOrder(disk: XmlNode, order: number | undefined): void {
  const boot = disk.child("boot");
  if (order === undefined) disk.remove(boot);
  else if (boot) boot.set("order", order);
  else disk.append(element("boot", { order }));
}
