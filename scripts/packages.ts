import { fileURLToPath } from "node:url";
import { CommandError, must, run } from "./command.ts";
import type { Progress } from "./progress.ts";
import { asRoot, NoRoot } from "./root.ts";

/**
 * What virtxd's tests and its lab need of Debian: libvirt without the package that makes it a service of this machine,
 * QEMU with its firmware, Serf, the tools that lab and guest image are made with, and what shows a terminal and a manual page.
 * Debian's recommendations are not installed, so what is needed of them is named here.
 */
const LAB_PACKAGES = [
  "bindfs",
  "curl",
  "dmidecode",
  "e2fsprogs",
  "groff-base",
  "iproute2",
  "iptables",
  "libfaketime",
  "libvirt-clients",
  "libvirt-daemon",
  "libvirt-daemon-driver-qemu",
  "mtools",
  "ovmf",
  "procps",
  "qemu-system-x86",
  "qemu-utils",
  "seabios",
  "serf",
  "strace",
  "syslinux",
  "syslinux-common",
  "tcc",
  "tmux",
];

/** What Debian 13 has split off from the packages above. */
const SPLIT_OFF = ["libvirt-daemon-driver-network"];

/** What a new Debian is made with, see fresh_root.sh. */
export const FRESH_ROOT_PACKAGES = ["debootstrap", "git"] as const;

/** Packages are missing and this user may not install them; the message has the line to run. */
export class PackagesMissing extends Error {
  override readonly name = "PackagesMissing";
}

/** apt asks nothing, starts from nobody's locale, waits for another apt to end, and restarts nothing. */
const APT_ENV = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C", NEEDRESTART_SUSPEND: "1" };
const APT_VARIABLES = Object.entries(APT_ENV).map(([name, value]) => `${name}=${value}`);
const APT_GET = [
  "apt-get",
  "--yes",
  "--quiet",
  "--option=DPkg::Lock::Timeout=120",
  "--option=Acquire::Retries=3",
];
const APT_TIMEOUT_MS = 15 * 60_000;

/** Installs packages without their services. */
const INSTALLER = fileURLToPath(new URL("packages/install.sh", import.meta.url));
/** Where the installer notes what it has not finished. */
const UNFINISHED = "/var/lib/misc/virtxd-installing";

/**
 * Installs what the lab needs of Debian and is missing. No service is started on this machine, or enabled at its next boot,
 * because of it; an installation that was cut off is finished.
 * @param more packages beside those of the lab
 * @throws {PackagesMissing} if we are not root and cannot become it
 * @throws Error if this is not Debian on amd64
 */
export async function ensurePackages(progress: Progress, more: readonly string[] = []): Promise<void> {
  const missing = await missingPackages([...await labPackages(), ...more]);
  try {
    if (await exists(UNFINISHED)) {
      await progress.step("Finish an installation of Debian packages that was cut off", () => install([]));
    }
    if (missing.length === 0) return;
    await asRoot([]);
    const some = `${missing.length} Debian packages`;
    await progress.step(`Download ${some}: ${missing.join(" ")}`, () => download(missing));
    await progress.step(`Install ${some}`, () => install(missing));
  } catch (error) {
    if (!(error instanceof NoRoot)) throw error;
    throw new PackagesMissing(
      `These Debian packages are missing; run this as root, then try again:\n\n  ` +
        `apt-get install --no-install-recommends ${missing.join(" ")}\n`,
    );
  }
}

/**
 * Downloads packages without installing them.
 * @param names which; asked again if apt's lists turn out to be old
 * @param directory where to put them
 * @returns the paths of the .deb files
 */
export async function downloadPackages(
  names: () => Promise<readonly string[]>,
  directory: string,
): Promise<string[]> {
  await freshLists(async () => {
    const options = { cwd: directory, env: APT_ENV, timeoutMs: APT_TIMEOUT_MS };
    await must(["apt-get", "--quiet", "download", ...await names()], options);
  });
  const files: string[] = [];
  for await (const entry of Deno.readDir(directory)) if (entry.name.endsWith(".deb")) files.push(entry.name);
  return files.map((name) => `${directory}/${name}`);
}

/**
 * The names of the packages that a package depends on, by apt's lists.
 * @throws {CommandError} if they do not have it
 */
export async function packageDependencies(name: string): Promise<string[]> {
  const fields = await must(["apt-cache", "show", "--no-all-versions", name], { env: APT_ENV });
  const depends = /^Depends: (.*)$/m.exec(fields)?.[1] ?? "";
  return depends.split(/[,|]/).map((entry) => entry.trim().replace(/[ :].*$/, "")).filter((entry) =>
    entry !== ""
  );
}

/** The packages by their names in this release of Debian. */
async function labPackages(): Promise<readonly string[]> {
  if (Deno.build.arch !== "x86_64") {
    throw new Error(`The lab runs on amd64 only, and this machine is ${Deno.build.arch}`);
  }
  const release = await Deno.readTextFile("/etc/os-release").catch(() => ""); // Then dpkg is not there, either.
  const version = /^VERSION_ID="?(\d+)/m.exec(release)?.[1]; // Debian's unstable has none.
  return version !== undefined && Number(version) < 13 ? LAB_PACKAGES : [...LAB_PACKAGES, ...SPLIT_OFF];
}

async function missingPackages(names: readonly string[]): Promise<string[]> {
  const query = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n", ...names];
  let stdout: string;
  try {
    ({ stdout } = await run(query));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error("The lab runs on Debian (12 or later): this machine has no dpkg");
  }
  const installed = new Set(stdout.split("\n").filter((line) => line.startsWith("installed ")));
  return names.filter((name) => !installed.has(`installed ${name}`));
}

async function download(names: readonly string[]): Promise<void> {
  await freshLists(() => apt("install", "--download-only", "--no-install-recommends", ...names));
}

/** In a session of its own, as Ctrl-C must not stop it half-way. Who is impatient waits for the end of it, which is near. */
async function install(names: readonly string[]): Promise<void> {
  const signals = ["SIGINT", "SIGTERM"] as const;
  let interrupted = false;
  const wait = () => void (interrupted = true);
  for (const signal of signals) Deno.addSignalListener(signal, wait);
  try {
    const installer = ["env", ...APT_VARIABLES, "setsid", "--wait", "sh", INSTALLER, ...names];
    await must(await asRoot(installer), { timeoutMs: APT_TIMEOUT_MS });
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, wait);
  }
  if (interrupted) Deno.exit(130);
}

async function apt(...args: readonly string[]): Promise<void> {
  await must(await asRoot(["env", ...APT_VARIABLES, ...APT_GET, ...args]), { timeoutMs: APT_TIMEOUT_MS });
}

/** Runs apt; if that fails, refreshes apt's lists of packages (absent on a new machine, outdated on an old one) and tries once more. */
async function freshLists(task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    await apt("update");
    await task();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
