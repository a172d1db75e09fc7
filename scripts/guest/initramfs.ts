import { must } from "../command.ts";

/** What the guest's kernel needs beyond what is built into it: its disks, network, consoles, the seed, the power button. */
const MODULES = [
  "virtio_pci",
  "virtio_blk",
  "virtio_net",
  "virtio_scsi",
  "virtio_console",
  "sd_mod",
  "sr_mod",
  "isofs",
  "button",
  "evdev",
];

/** Where the parts of the initramfs come from. */
export interface InitramfsParts {
  /** Unpacked packages: the kernel's modules and busybox. */
  readonly packages: string;
  /** Release of the kernel, as in /lib/modules/<release>. */
  readonly release: string;
  /** Our own files: the directory `rootfs`. */
  readonly files: string;
}

/**
 * Packs busybox, kernel modules and our init as an initial file system (cpio archive "newc": the kernel's
 * Documentation/driver-api/early-userspace/buffer-format.rst).
 * @param work an empty directory to build in
 * @returns the archive's path
 */
export async function buildInitramfs(parts: InitramfsParts, work: string): Promise<string> {
  const tree = `${work}/tree`;
  const busybox = `${parts.packages}/bin/busybox`;
  await must(["cp", "--recursive", "--preserve=mode", `${parts.files}/.`, tree]);
  await Deno.mkdir(`${tree}/bin`);
  await Deno.mkdir(`${tree}/modules`);
  await Deno.copyFile(busybox, `${tree}/bin/busybox`);
  const modules = await loadOrder(`${parts.packages}/lib/modules/${parts.release}/kernel`);
  for (const module of modules) await Deno.copyFile(module.path, `${tree}/modules/${module.name}.ko`);
  await Deno.writeTextFile(`${tree}/modules/order`, modules.map((module) => `${module.name}.ko\n`).join(""));
  const archive = `${work}/initrd`;
  const names = await must(["find", "."], { cwd: tree });
  await must([busybox, "cpio", "-o", "-H", "newc", "-F", archive], { cwd: tree, stdin: names });
  return archive;
}

interface Module {
  readonly name: string;
  readonly path: string;
}

/** The modules and all that they depend on, each after what it depends on. */
async function loadOrder(directory: string): Promise<Module[]> {
  const paths = new Map<string, string>();
  for (const path of (await must(["find", directory, "-name", "*.ko"])).split("\n")) {
    const name = path.slice(path.lastIndexOf("/") + 1, -".ko".length).replaceAll("-", "_");
    paths.set(name, path);
  }
  const order: Module[] = [];
  const visit = async (name: string): Promise<void> => {
    if (order.some((module) => module.name === name)) return;
    const path = paths.get(name);
    if (path === undefined) throw new Error(`The guest's kernel has no module ${name}`);
    for (const needed of await dependencies(path)) await visit(needed);
    order.push({ name, path });
  };
  for (const name of MODULES) await visit(name);
  return order;
}

/** What a module's own .modinfo section says that it depends on (modinfo(8), field "depends"). */
async function dependencies(path: string): Promise<string[]> {
  const text = new TextDecoder("latin1").decode(await Deno.readFile(path));
  const list = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? "";
  return list.split(",").filter((name) => name !== "").map((name) => name.replaceAll("-", "_"));
}
