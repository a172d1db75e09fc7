import { must } from "../command.ts";
import type { Realm } from "./realm.ts";
import { compileSharedStorage, SHARED_STORAGE } from "./shared_storage.ts";
import type { HostRecord } from "./state.ts";

/**
 * The file tree that a lab host sees as /: the machine's programs (/usr, read-only) and devices, and everything else its
 * own. So nothing on the host can touch the machine's /vms or libvirt, and /vms need not exist on the machine.
 *
 * It is a directory tree of empty mount points, symlinks and private files; what is mounted on it is mounted within the
 * host's mount namespace only, and is gone with it.
 */

/** Search path on a host. */
export const HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What of the machine's /etc a host gets a copy of. */
const ETC = [
  "alternatives",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "localtime",
  "nsswitch.conf",
  "os-release",
  "services",
];

/** A host's users. QEMU runs as root there, but libvirtd does not start without its usual user and group. */
const PASSWD = `root:x:0:0:root:/root:/bin/sh
libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`;
const GROUP = `root:x:0:
tty:x:5:
kvm:x:104:
libvirt-qemu:x:64055:
nogroup:x:65534:
`;

/** Programs that a host must not have, so that virtxd is proven to need neither. */
const HIDDEN = ["deno", "node", "nodejs", "npm", "npx"];

/** Symlinks into /usr where the system is merged, else directories. */
const SYSTEM = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

const DIRECTORIES = [
  "dev",
  "etc",
  "home",
  "mnt",
  "old",
  "opt",
  "proc",
  "root",
  "run",
  "sys",
  "tmp",
  "usr",
  "var/cache/libvirt/qemu",
  "var/lib/libvirt",
  "var/log/libvirt/qemu",
  "var/tmp",
  "vms",
];

/** The directories of a lab and a host that {@link buildRoot} works on. */
export interface RootDirectories {
  /** The host's own directory, which will hold `root`, `local` and `empty`. */
  readonly host: string;
  /** The lab's shared storage. */
  readonly vms: string;
}

/** Makes the tree of a host that has none; what is there is kept. */
export async function buildRoot(directories: RootDirectories, host: HostRecord): Promise<void> {
  const root = `${directories.host}/root`;
  const local = `${directories.host}/local`;
  const all = [
    ...DIRECTORIES.map((path) => `${root}/${path}`),
    `${local}/bin`,
    `${local}/sbin`,
    `${local}/lib`,
  ];
  await Promise.all(all.map((path) => Deno.mkdir(path, { recursive: true })));
  await Deno.writeTextFile(`${directories.host}/empty`, "", { mode: 0o444 });
  await compileSharedStorage(`${local}/lib/${SHARED_STORAGE}`);
  await symlink("../run", `${root}/var/run`);
  await symlink("../run/lock", `${root}/var/lock`);
  for (const path of await existing(SYSTEM)) await mirror(path, root);
  const copied = await existing(ETC.map((name) => `etc/${name}`));
  await must(["cp", "--archive", "--parents", ...copied, `${root}/`], { cwd: "/" });
  await Deno.writeTextFile(`${root}/etc/hostname`, `${host.name}\n`);
  await Deno.writeTextFile(`${root}/etc/machine-id`, `${host.machineId}\n`);
  await Deno.writeTextFile(`${root}/etc/passwd`, PASSWD);
  await Deno.writeTextFile(`${root}/etc/group`, GROUP);
  await Deno.writeTextFile(`${root}/etc/resolv.conf`, "");
}

/** Mounts everything on the tree and makes it the root of the realm's mount namespace. */
export async function enterRoot(directories: RootDirectories, realm: Realm, host: HostRecord): Promise<void> {
  const root = `${directories.host}/root`;
  const table = `${directories.host}/fstab`;
  await Deno.writeTextFile(table, await mountTable(directories));
  const enter = (argv: readonly string[]) => must(realm.enter(["mount", "pid", "net"], argv));
  await enter(["mount", "--all", "--fstab", table]);
  // pivot_root(2) moves the holder, too: from now on its root is the host's.
  await enter(["pivot_root", root, `${root}/old`]);
  await must(realm.enter(["mount", "pid", "root"], ["umount", "--lazy", "/old"]));
  await must(realm.enter(["mount", "root", "uts"], ["hostname", host.name]));
  // Where libvirtd keeps others off a console that is in use.
  await must(realm.enter(["mount", "root"], ["mkdir", "/run/lock"]));
}

/** What to mount, in the form and order of fstab(5). */
async function mountTable(directories: RootDirectories): Promise<string> {
  const root = `${directories.host}/root`;
  const bind = (from: string, to: string, options = "bind") => `${from} ${root}${to} none ${options} 0 0`;
  const fresh = (type: string, to: string, options: string) => `${type} ${root}${to} ${type} ${options} 0 0`;
  return [
    bind(root, ""),
    bind("/usr", "/usr", "rbind,ro"),
    ...(await notMerged()).map((path) => bind(path, path, "rbind,ro")),
    bind(`${directories.host}/local`, "/usr/local"),
    ...(await hiddenPrograms()).map((path) => bind(`${directories.host}/empty`, path)),
    bind("/dev", "/dev", "rbind"),
    fresh("proc", "/proc", "nosuid,nodev,noexec"),
    fresh("sysfs", "/sys", "nosuid,nodev,noexec"),
    fresh("tmpfs", "/run", "mode=755,size=256m"),
    fresh("tmpfs", "/tmp", "mode=1777,size=256m"),
    // The executable must do without a home that it can write to.
    fresh("tmpfs", "/root", "mode=700,ro"),
    bind(directories.vms, "/vms"),
  ].map((line) => line + "\n").join("");
}

/** Makes a mount point of a directory, and a symlink of a symlink. */
async function mirror(path: string, root: string): Promise<void> {
  if (!(await Deno.lstat(`/${path}`)).isSymlink) {
    return await Deno.mkdir(`${root}/${path}`, { recursive: true });
  }
  await symlink(await Deno.readLink(`/${path}`), `${root}/${path}`);
}

/** Makes a symlink, or leaves the one that is there. */
async function symlink(target: string, path: string): Promise<void> {
  await Deno.symlink(target, path).catch((error: unknown) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
}

async function notMerged(): Promise<string[]> {
  const directories: string[] = [];
  for (const path of await existing(SYSTEM)) {
    if ((await Deno.lstat(`/${path}`)).isDirectory) directories.push(`/${path}`);
  }
  return directories;
}

/** Where the hidden programs are on the machine, as far as a host would see them. */
async function hiddenPrograms(): Promise<string[]> {
  const named = ["usr/bin", "usr/sbin"].flatMap((directory) => HIDDEN.map((name) => `${directory}/${name}`));
  const real = await Promise.all((await existing(named)).map(realPath));
  return [...new Set(real)].filter((path) => path.startsWith("/usr/") && !path.startsWith("/usr/local/"));
}

/** Where a path (below /) leads; nowhere, if it is a dangling link. */
async function realPath(path: string): Promise<string> {
  return await Deno.realPath(`/${path}`).catch(() => "");
}

/** Those of the paths (below /) that exist. */
async function existing(paths: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    try {
      await Deno.lstat(`/${path}`);
      found.push(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return found;
}
