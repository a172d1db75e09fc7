import { must } from "../command.ts";

/** What the guest needs of its kernel, as modules or built in: its disks, network, consoles, the seed, the power button. */
const FEATURES = [
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
  /** The busybox to put in, which is a static one. */
  readonly busybox: string;
  /** The directory of the kernel's modules, which Debian names by its release. */
  readonly modules: string;
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
  await must(["cp", "--recursive", "--preserve=mode", `${parts.files}/.`, tree]);
  await Deno.mkdir(`${tree}/bin`);
  await Deno.copyFile(parts.busybox, `${tree}/bin/busybox`);
  await Deno.mkdir(`${tree}/modules`);
  const order = await copyModules(parts, `${tree}/modules`);
  await Deno.writeTextFile(`${tree}/modules/order`, order.map((name) => `${name}.ko\n`).join(""));
  const archive = `${work}/initrd`;
  const names = await must(["find", "."], { cwd: tree });
  await must([parts.busybox, "cpio", "-o", "-H", "newc", "-F", archive], { cwd: tree, stdin: names });
  return archive;
}

/**
 * Copies the modules, and all that they depend on, uncompressed.
 * @returns their names in an order in which they can be loaded: each after what it depends on
 */
async function copyModules(parts: InitramfsParts, target: string): Promise<string[]> {
  const files = modulesIn(await must(["find", parts.modules, "-type", "f"]), /\.ko(\.xz)?$/);
  // kbuild's list of what would be a module, had it not been built in.
  const builtIn = modulesIn(await Deno.readTextFile(`${parts.modules}/modules.builtin`), /\.ko$/);
  const order: string[] = [];
  const visit = async (name: string): Promise<void> => {
    if (order.includes(name) || builtIn.has(name)) return;
    const file = files.get(name);
    if (file === undefined) throw new Error(`The guest's kernel has no module ${name}`);
    const copy = `${target}/${name}.ko`;
    await Deno.copyFile(file, file.endsWith(".xz") ? `${copy}.xz` : copy);
    if (file.endsWith(".xz")) await must([parts.busybox, "unxz", `${copy}.xz`]);
    for (const needed of await dependencies(copy)) await visit(needed);
    order.push(name);
  };
  for (const name of FEATURES) await visit(name);
  return order;
}

/** Paths of modules, one a line, by the name that the kernel has for each: without the suffix, and with "_" for "-". */
function modulesIn(lines: string, suffix: RegExp): Map<string, string> {
  const paths = lines.split("\n").filter((path) => suffix.test(path));
  return new Map(
    paths.map((path) => [path.replace(/^.*\//, "").replace(suffix, "").replaceAll("-", "_"), path]),
  );
}

/** What a module's own .modinfo section says that it depends on (modinfo(8), field "depends"). */
async function dependencies(path: string): Promise<string[]> {
  const text = new TextDecoder("latin1").decode(await Deno.readFile(path));
  const list = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? "";
  return list.split(",").filter((name) => name !== "").map((name) => name.replaceAll("-", "_"));
}
