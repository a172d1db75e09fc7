import { DiskProvisioning, enumName } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { type FaultHook, noFault } from "../model/fault.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { isBelow, SEEDS_ROOT } from "../model/paths.ts";
import type { Disk } from "../model/vm.ts";
import type { Files } from "../posix/files.ts";
import type { Libc } from "../posix/libc.ts";
import { onStorage } from "../posix/storage_error.ts";
import { Tree } from "../posix/tree.ts";
import { BlockDevices } from "./block_devices.ts";
import type { CreatedDisk } from "./created_disk.ts";
import { Creation } from "./creation.ts";
import { FirmwareVariables } from "./firmware_variables.ts";
import type { FileMark } from "./file_mark.ts";
import { type DiskFacts, inspectImage } from "./image.ts";
import { type ImageFormat, locateDisk, nameBelowRoot, splitName } from "./location.ts";
import { ALWAYS_MOUNTED, type Mounted } from "./mount.ts";
import { QemuImg } from "./qemu_img.ts";
import { Leases } from "./leases.ts";
import { Seeds } from "./seeds.ts";
import { Trash } from "./trash.ts";
import type { Removal, RemovalOutcome } from "./trash_removal.ts";

/** The largest size that travels as an int32 of MiB. */
const MAX_SIZE_MIB = 0x7fff_ffff;

export interface StorageOptions {
  readonly libc: Libc;
  /** The shared storage, where paths that begin with /vms are found. */
  readonly tree: Tree;
  /** This host's UUID. */
  readonly hostUuid: string;
  /** Whether it is there; left out: it always is. */
  readonly mount?: Mounted | undefined;
  /** The block devices that VMs may have: paths, or patterns with `*` for anything within one directory. */
  readonly blockDevices: readonly string[];
  /** The program; "qemu-img" by default. */
  readonly qemuImg?: string | undefined;
  /** How many disks may be created at a time; 2 by default. */
  readonly concurrency?: number | undefined;
  /** How long the creation of one disk may take, waiting included; half an hour by default. */
  readonly timeoutMs?: number | undefined;
  /** How long what is deleted can be restored, a day by default; 0: not at all. */
  readonly trashMs?: number | undefined;
  readonly log: Logger;
  readonly health?: Health | undefined;
  /** Fault points: `storage.` and those of {@link Creation}, `trash.` and those of {@link Trash}, `seed.` and those of a seed,
   * `variables.` and those of {@link FirmwareVariables}. */
  readonly fault?: FaultHook | undefined;
}

/** A disk as it can be told from others, wherever it is looked at. */
export interface DiskIdentity {
  /** Empty: it has nothing of the kind. */
  readonly identity: string;
  /** Virtual size. */
  readonly sizeMiB: number;
}

/**
 * The storage of disks: image files below /vms/ds, which it creates, looks at and deletes, and block devices, which it
 * only looks at (protocol.md §3). It never follows a symbolic link below /vms/ds, never overwrites a file, and never
 * lets the content of an image decide how it is read. Errors name the disk: VirtxError of kind invalid (the path or
 * the image), denied (a block device that is not allowed), storage, timeout, cancelled (the signal aborted).
 */
export class Storage {
  readonly variables: FirmwareVariables;
  readonly leases: Leases;
  readonly #tree: Tree;
  readonly #mount: Mounted;
  readonly #devices: BlockDevices;
  readonly #qemuImg: QemuImg;
  readonly #creation: Creation;
  readonly #seeds: Seeds;
  readonly #log: Logger;
  /** What was deleted. */
  readonly trash: Trash;

  constructor(options: StorageOptions) {
    const { tree, qemuImg = "qemu-img", concurrency = 2, timeoutMs = 1_800_000, fault = noFault } = options;
    this.#log = options.log;
    this.#mount = options.mount ?? ALWAYS_MOUNTED;
    this.leases = new Leases(tree);
    this.#tree = new Tree(`${tree.root}/ds`, tree.files);
    this.#devices = new BlockDevices(options.libc, options.blockDevices);
    this.#qemuImg = new QemuImg({ program: qemuImg, concurrency, timeoutMs, log: options.log });
    this.#creation = new Creation(this.#tree, (point) => fault(`storage.${point}`));
    this.variables = new FirmwareVariables(this.#tree, (point) => fault(`variables.${point}`));
    this.trash = new Trash({
      tree: this.#tree,
      hostUuid: options.hostUuid,
      graceMs: options.trashMs ?? 86_400_000,
      log: options.log,
      health: options.health,
      fault: (point) => fault(`trash.${point}`),
    });
    this.#seeds = new Seeds(this.#tree, (point) => fault(`seed.${point}`));
  }

  /** Which storage it is, by its id; undefined: that is not known. */
  get id(): string | undefined {
    return this.#mount.id;
  }

  /** Why it cannot be worked on now: it hangs, or it is not there any more, or another one; undefined: it can. */
  async refusal(): Promise<VirtxError | undefined> {
    return this.#files.refusal() ?? await this.#mount.check();
  }

  /** Whether the configuration lets VMs have this block device. */
  allowsDevice(path: string): boolean {
    return this.#devices.allows(path);
  }

  /** What a disk that exists already is. Throws invalid if it does not, or if it is nothing for QEMU to open. */
  async inspect(disk: Disk): Promise<DiskFacts> {
    return await onStorage(`Cannot use disk "${disk.path}"`, async () => {
      const location = locateDisk(disk.path);
      if (location.kind === "device") return this.#devices.inspect(location.path);
      await this.#tree.missing(location.directory);
      const facts = await inspectImage(this.#files, this.#tree.at(location.name), location.format);
      if (facts.dirty) this.#log.info("image is in use or was not closed properly", { path: disk.path });
      return facts;
    });
  }

  /**
   * What makes a disk the same one on every host that shares it: of a file the inode, which two file systems hardly give to
   * the same path, of a device its world-wide name. Seeds have it too. Errors as {@link inspect}.
   */
  async identify(path: string): Promise<DiskIdentity> {
    return await onStorage(`Cannot use disk "${path}"`, async () => {
      if (isBelow(path, SEEDS_ROOT)) return await this.#identifyFile(nameBelowRoot(path), "raw");
      const location = locateDisk(path);
      if (location.kind === "file") return await this.#identifyFile(location.name, location.format);
      const { sizeMiB } = this.#devices.inspect(location.path);
      return { identity: this.#devices.name(location.path) ?? "", sizeMiB };
    });
  }

  /**
   * The names under which a disk will be created, for the journal; nothing is made yet. Plan all disks of a change
   * before the first is provisioned, and with tags (letters, digits, "-", ".") that nobody else uses.
   */
  async plan(disk: Disk, tag: string): Promise<CreatedDisk> {
    return await onStorage(`Cannot create disk "${disk.path}"`, async () => {
      newImage(disk);
      return await this.#creation.plan(disk.path, tag);
    });
  }

  /**
   * Creates a disk as planned, to be kept by {@link commit} or removed by {@link undo}. If it throws, it has undone
   * what it could; undo() makes sure.
   */
  async provision(created: CreatedDisk, disk: Disk, signal?: AbortSignal): Promise<void> {
    const began = performance.now();
    const what = `disk "${disk.path}" (${disk.size} MiB, ${enumName(DiskProvisioning, disk.prov)})`;
    try {
      await onStorage(`Cannot create ${what}`, async () => {
        const image = newImage(disk);
        await this.#makingRoom(
          image,
          () => this.#creation.create(created, (path) => this.#fill({ ...image, path }, signal)),
        );
      });
    } catch (error) {
      throw await this.#withFreeSpace(error);
    }
    this.#log.info("disk created", {
      path: disk.path,
      mib: disk.size,
      ms: Math.round(performance.now() - began),
    });
  }

  /** Waiting for its turn may take long, and the storage may have been unmounted meanwhile. */
  async #fill(image: NewImage & { readonly path: string }, signal: AbortSignal | undefined): Promise<void> {
    await this.#qemuImg.create(image, async () => {
      if (await this.#files.lstat(image.path)) return;
      throw new VirtxError("unavailable", "its file is not there any more: is the storage still mounted?");
    }, signal);
  }

  /** How much space a disk that is being provisioned has by now, in MiB. */
  async writtenMiB(created: CreatedDisk): Promise<number> {
    return await onStorage(`Cannot look at disk "${created.path}"`, () => this.#creation.writtenMiB(created));
  }

  /** Keeps a disk that was provisioned; may be repeated. */
  async commit(created: CreatedDisk): Promise<void> {
    await onStorage(`Cannot keep disk "${created.path}"`, () => this.#creation.commit(created));
  }

  /** Removes what was made of a planned disk, be it all or nothing, and no other file; may be repeated. */
  async undo(created: CreatedDisk): Promise<void> {
    await onStorage(`Cannot undo the creation of disk "${created.path}"`, () => this.#creation.undo(created));
  }

  /**
   * Which file a disk is, for {@link discard}: to be asked when its deletion is decided. Undefined if there is none; throws
   * invalid for block devices and for what is not a regular file.
   */
  async mark(path: string): Promise<FileMark | undefined> {
    return await onStorage(`Cannot delete disk "${path}"`, () => this.trash.mark(path));
  }

  /** Takes files away that a change has decided on, and no others; may be repeated. See {@link Trash.put}. */
  async discard(removal: Removal): Promise<RemovalOutcome> {
    return await onStorage(`Cannot delete the disks of VM "${removal.name}"`, () => this.trash.put(removal));
  }

  /** Writes the cloud-init seed of a VM: documents by file name (user-data, meta-data, network-config). */
  async writeSeed(uuid: string, documents: Readonly<Record<string, string>>): Promise<void> {
    await onStorage(
      `Cannot write the cloud-init seed of VM ${uuid}`,
      () => this.#seeds.write(uuid, documents),
    );
  }

  /** Removes the cloud-init seed of a VM; none is fine. */
  async deleteSeed(uuid: string): Promise<void> {
    await onStorage(`Cannot delete the cloud-init seed of VM ${uuid}`, () => this.#seeds.delete(uuid));
  }

  get #files(): Files {
    return this.#tree.files;
  }

  async #identifyFile(name: string, format: ImageFormat): Promise<DiskIdentity> {
    await this.#tree.missing(splitName(name).directory);
    const path = this.#tree.at(name);
    const { sizeMiB } = await inspectImage(this.#files, path, format);
    const found = await this.#files.identity(path);
    return { identity: found === undefined ? "" : `inode ${found.inode}`, sizeMiB };
  }

  /** How much room there is for images, MiB; undefined: that cannot be told. */
  async freeMiB(): Promise<number | undefined> {
    const bytes = await this.#files.availableBytes(this.#tree.root);
    return bytes === undefined ? undefined : Math.floor(bytes / (1 << 20));
  }

  /** How much more room there would be if all that can be was taken out of the trash, MiB. */
  async reclaimableMiB(): Promise<number> {
    const entries = await onStorage("Cannot look at the trash", () => this.trash.list());
    return Math.floor(entries.reduce((sum, { bytes }) => sum + bytes, 0) / (1 << 20));
  }

  /** Makes an image; what is in the trash goes rather than that it fails for want of room. */
  async #makingRoom({ sizeMiB, thick }: NewImage, create: () => Promise<void>): Promise<void> {
    const enough = async () => !thick || (await this.freeMiB() ?? Infinity) >= sizeMiB;
    for (;;) {
      try {
        return await create();
      } catch (error) {
        if (!isFull(error) || !await this.trash.makeRoom(enough)) throw error;
      }
    }
  }

  /** How much room there is belongs to the message that it is not enough. */
  async #withFreeSpace(error: unknown): Promise<unknown> {
    if (!(error instanceof VirtxError) || !isFull(error)) return error;
    const free = await this.freeMiB();
    if (free === undefined) return error;
    return new VirtxError("storage", `${error.message} (${free} MiB are free)`, {
      cause: error,
    });
  }
}

/** What qemu-img has to know of a disk that can be created. */
interface NewImage {
  readonly format: ImageFormat;
  readonly sizeMiB: number;
  readonly thick: boolean;
}

/** Whether something failed for want of room, by its message: what qemu-img says has no errno. */
function isFull(error: unknown): boolean {
  return error instanceof Error && /no space|quota/i.test(error.message);
}

/** VirtxError `invalid` for a disk that cannot be created. */
function newImage(disk: Disk): NewImage {
  const location = locateDisk(disk.path);
  if (location.kind === "device") throw new VirtxError("invalid", "block devices are never created");
  if (location.extension === "iso") {
    throw new VirtxError("invalid", "an ISO image cannot be created, only used");
  }
  if (disk.prov === DiskProvisioning.none) {
    throw new VirtxError("invalid", "it is to be neither thin nor thick");
  }
  if (!Number.isInteger(disk.size) || disk.size < 1 || disk.size > MAX_SIZE_MIB) {
    throw new VirtxError("invalid", `its size of ${disk.size} MiB is out of bounds`);
  }
  return { format: location.format, sizeMiB: disk.size, thick: disk.prov === DiskProvisioning.thick };
}
