import { must } from "../command.ts";

/** Bytes. */
const SECTOR = 512;
const MIB = 1 << 20;

/** The only partition begins at 1 MiB, as usual, and takes the rest. */
const PARTITION_START = MIB;
const DISK_SIZE = 32 * MIB;

/** Kernel parameters; scanning SCSI at once spares the guest from waiting for its seed. */
const PARAMETERS = "console=ttyS0 quiet mitigations=off no_timer_check scsi_mod.scan=sync";

/** What a guest's disk is made of: paths of files. */
export interface DiskParts {
  readonly kernel: string;
  readonly initramfs: string;
  /** systemd-boot, which the firmware starts where it is UEFI; SYSLINUX does the same for BIOS. */
  readonly efiLoader: string;
}

/**
 * Makes a bootable disk: one FAT partition with kernel, initramfs and two boot loaders, nothing mounted on the way.
 * @param work a directory to build in
 * @param image the qcow2 image to write
 */
export async function buildDisk(parts: DiskParts, work: string, image: string): Promise<void> {
  const partition = `${work}/partition`;
  await buildPartition(parts, work, partition);
  const disk = await Deno.open(`${work}/disk`, { write: true, createNew: true });
  try {
    await disk.truncate(DISK_SIZE);
    await writeAt(disk, 0, await bootRecord());
    await writeAt(disk, PARTITION_START, await Deno.readFile(partition));
  } finally {
    disk.close();
  }
  await must(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", `${work}/disk`, image]);
}

async function buildPartition(parts: DiskParts, work: string, partition: string): Promise<void> {
  const env = { MTOOLS_SKIP_CHECK: "1" };
  const sectors = (DISK_SIZE - PARTITION_START) / SECTOR;
  const geometry = ["-T", `${sectors}`, "-h", "255", "-s", "63", "-H", `${PARTITION_START / SECTOR}`];
  await must(["mformat", "-C", "-i", partition, ...geometry, "-v", "GUEST", "::"], { env });
  await must(["mmd", "-i", partition, "::/EFI", "::/EFI/BOOT", "::/loader", "::/loader/entries"], { env });
  const copy = (from: string, to: string) => must(["mcopy", "-i", partition, from, `::${to}`], { env });
  const write = async (text: string, to: string) => {
    const file = `${work}/${to.replaceAll("/", "_")}`;
    await Deno.writeTextFile(file, text);
    await copy(file, to);
  };
  await copy(parts.kernel, "/linux");
  await copy(parts.initramfs, "/initrd");
  await copy(parts.efiLoader, "/EFI/BOOT/BOOTX64.EFI");
  await write("timeout 0\n", "/loader/loader.conf");
  await write(
    `title guest\nlinux /linux\ninitrd /initrd\noptions ${PARAMETERS}\n`,
    "/loader/entries/guest.conf",
  );
  await write(
    `DEFAULT guest\nPROMPT 0\nLABEL guest\nLINUX /linux\nINITRD /initrd\nAPPEND ${PARAMETERS}\n`,
    "/syslinux.cfg",
  );
  await must(["syslinux", "--install", partition], { env });
}

/** The disk's first sector: SYSLINUX's code, and a partition table with one entry that is active and an EFI partition. */
async function bootRecord(): Promise<Uint8Array> {
  const record = new Uint8Array(SECTOR);
  record.set(await Deno.readFile("/usr/lib/syslinux/mbr/mbr.bin"));
  const entry = new DataView(record.buffer, 446, 16);
  const noGeometry = 0xfeffff; // Beyond what cylinders, heads and sectors can say: the numbers below count.
  entry.setUint32(0, 0x80 << 24 | noGeometry);
  entry.setUint32(4, 0xef << 24 | noGeometry);
  entry.setUint32(8, PARTITION_START / SECTOR, true);
  entry.setUint32(12, (DISK_SIZE - PARTITION_START) / SECTOR, true);
  record.set([0x55, 0xaa], SECTOR - 2);
  return record;
}

async function writeAt(file: Deno.FsFile, offset: number, bytes: Uint8Array): Promise<void> {
  await file.seek(offset, Deno.SeekMode.Start);
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}
