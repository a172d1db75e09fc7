import { fileURLToPath } from "node:url";
import { must } from "../command.ts";
import { exists } from "../files.ts";
import type { Progress } from "../progress.ts";
import { downloadPackages, packageDependencies } from "../packages.ts";
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
  using directory = await Deno.open(cache);
  await directory.lock(true); // one at a time: what others have left half-done can go
  if (await exists(image)) return image;
  const work = `${cache}/build`;
  await removeTree(work);
  await Deno.mkdir(work);
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
  const wanted = async () => [...await kernelPackages(KERNEL), "busybox-static", "systemd-boot-efi"];
  for (const file of await downloadPackages(wanted, work)) {
    await must(["dpkg-deb", "--extract", file, packages]);
  }
}

/**
 * The packages with the newest kernel's files, found from the one that only depends on them. From Linux 7 on the modules have
 * a package of their own.
 */
async function kernelPackages(name: string): Promise<string[]> {
  const names = await packageDependencies(name);
  const parts = names.filter((other) => /^linux-(image|modules|binary)-\d/.test(other));
  return [...name === KERNEL ? [] : [name], ...(await Promise.all(parts.map(kernelPackages))).flat()];
}

async function build(packages: string, work: string, image: string): Promise<void> {
  const [modules = "", kernel = "", busybox = ""] = await Promise.all([
    theOne(packages, ["-type", "d", "-path", "*/lib/modules/*", "-prune"]),
    theOne(packages, ["-type", "f", "-name", "vmlinuz*"]),
    theOne(packages, ["-type", "f", "-path", "*/bin/busybox"]),
  ]);
  const files = fileURLToPath(new URL("rootfs", import.meta.url));
  const initramfs = await buildInitramfs({ busybox, modules, files }, work);
  const efiLoader = `${packages}/usr/lib/systemd/boot/efi/systemd-bootx64.efi`;
  await buildDisk({ kernel, initramfs, efiLoader }, work, image);
}

/** The only path that find(1) finds: from one release of Debian to the next, files move from / to /usr. */
async function theOne(directory: string, criteria: readonly string[]): Promise<string> {
  const found = (await must(["find", directory, ...criteria, "-print"])).split("\n").filter((path) =>
    path !== ""
  );
  if (found.length === 1 && found[0] !== undefined) return found[0];
  throw new Error(
    `Debian's packages have ${found.length} files of this kind, not one: ${criteria.join(" ")}`,
  );
}

/** The first 12 hex digits of the SHA-256 of all sources. */
async function sourcesHash(): Promise<string> {
  const texts = await Promise.all(SOURCES.map((name) => Deno.readTextFile(new URL(name, import.meta.url))));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(texts.join("\0")));
  return new Uint8Array(digest).toHex().slice(0, 12);
}

async function removeTree(path: string): Promise<void> {
  if (await exists(path)) await Deno.remove(path, { recursive: true });
}
