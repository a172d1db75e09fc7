import { must } from "../command.ts";
import type { Progress } from "../progress.ts";
import { downloadPackages } from "../packages.ts";
import { buildDisk } from "./disk.ts";
import { buildInitramfs } from "./initramfs.ts";

/** Debian's kernel for virtual machines; the package of this name only depends on the newest one. */
const KERNEL = "linux-image-cloud-amd64";

/** The sources that the image is made from; a change to any of them makes another image. */
const SOURCES = [
  "image.ts",
  "initramfs.ts",
  "disk.ts",
  "rootfs/init",
  "rootfs/usr/bin/tell",
  "rootfs/etc/acpi/PWRF/00000080",
];

/**
 * The image of the lab's guest: it boots from its disk under BIOS and UEFI, within a few seconds even without KVM, in 128 MiB
 * of memory; what it says and understands is told in rootfs/init. Built once, from Debian's packages, which are unpacked,
 * not installed; then kept in a cache under a name that changes with these sources.
 * @param cache directory for it
 * @returns the path of the qcow2 image
 */
export async function guestImage(cache: string, progress: Progress): Promise<string> {
  const image = `${cache}/guest-${await sourcesHash()}.qcow2`;
  if (await exists(image)) return image;
  await Deno.mkdir(cache, { recursive: true });
  const work = await Deno.makeTempDir({ dir: cache, prefix: "build-" });
  try {
    const packages = `${work}/packages`;
    await progress.step(
      "Guest image: download Debian's cloud kernel and busybox",
      () => unpack(packages, work),
    );
    await progress.step("Guest image: build", async () => {
      await build(packages, work, `${work}/image`);
      await Deno.rename(`${work}/image`, image);
    });
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return image;
}

async function unpack(packages: string, work: string): Promise<void> {
  const names = [await currentKernel(), "busybox-static", "systemd-boot-efi"];
  for (const file of await downloadPackages(names, work)) {
    await must(["dpkg-deb", "--extract", file, packages]);
  }
}

/** The package that the newest kernel is in: the only one that {@link KERNEL} depends on. */
async function currentKernel(): Promise<string> {
  const depends = await must(["apt-cache", "depends", "--important", KERNEL]);
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) throw new Error(`apt knows no package ${KERNEL}; try: apt-get update`);
  return name;
}

async function build(packages: string, work: string, image: string): Promise<void> {
  const [release = ""] = await names(`${packages}/lib/modules`);
  const files = new URL("rootfs", import.meta.url).pathname;
  const initramfs = await buildInitramfs({ packages, release, files }, work);
  const kernel = `${packages}/boot/vmlinuz-${release}`;
  const efiLoader = `${packages}/usr/lib/systemd/boot/efi/systemd-bootx64.efi`;
  await buildDisk({ kernel, initramfs, efiLoader }, work, image);
}

/** The first 12 hex digits of the SHA-256 of all sources. */
async function sourcesHash(): Promise<string> {
  const texts = await Promise.all(SOURCES.map((name) => Deno.readTextFile(new URL(name, import.meta.url))));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(texts.join("\0")));
  return new Uint8Array(digest).toHex().slice(0, 12);
}

async function names(directory: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(directory)) found.push(entry.name);
  return found;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
