import { CommandError, must, run } from "./command.ts";
import type { Progress } from "./progress.ts";
import { rootPrefix } from "./root.ts";

/**
 * What virtxd's tests and its lab need of Debian: libvirt without the package that makes it a service of this machine,
 * QEMU with its firmware, Serf, the tools that lab and guest image are made with, and what shows a terminal and a manual page.
 */
export const LAB_PACKAGES = [
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
] as const;

/** Packages are missing and this user may not install them; the message has the line to run. */
export class PackagesMissing extends Error {
  override readonly name = "PackagesMissing";
}

/** apt asks nothing, starts from nobody's locale, and waits for another apt to end. */
const APT_ENV = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
const APT_GET = [
  "apt-get",
  "--yes",
  "--quiet",
  "--option=DPkg::Lock::Timeout=120",
  "--option=Acquire::Retries=3",
];
const APT_TIMEOUT_MS = 15 * 60_000;

/**
 * Installs those of the Debian packages that are missing. No service is started on this machine, or enabled at its next
 * boot, because of it.
 * @throws {PackagesMissing} if we are not root and cannot become it by `sudo -n`
 */
export async function ensurePackages(names: readonly string[], progress: Progress): Promise<void> {
  const missing = await missingPackages(names);
  if (missing.length === 0) return;
  const asRoot = await rootPrefix();
  if (asRoot === undefined) {
    const line = `apt-get install --no-install-recommends ${missing.join(" ")}`;
    throw new PackagesMissing(
      `These Debian packages are missing; run this as root, then try again:\n\n  ${line}\n`,
    );
  }
  await progress.step(
    `Install ${missing.length} Debian packages: ${missing.join(" ")}`,
    () => install(missing, asRoot),
  );
}

/**
 * Downloads packages without installing them.
 * @param directory where to put them
 * @returns the paths of the .deb files
 */
export async function downloadPackages(names: readonly string[], directory: string): Promise<string[]> {
  const options = { cwd: directory, env: APT_ENV, timeoutMs: APT_TIMEOUT_MS };
  await freshLists(
    await rootPrefix() ?? [],
    () => must(["apt-get", "--quiet", "download", ...names], options),
  );
  const files: string[] = [];
  for await (const entry of Deno.readDir(directory)) if (entry.name.endsWith(".deb")) files.push(entry.name);
  return files.map((name) => `${directory}/${name}`);
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

async function install(names: readonly string[], asRoot: readonly string[]): Promise<void> {
  await using _policy = await forbidServices(asRoot);
  const env = Object.entries(APT_ENV).map(([name, value]) => `${name}=${value}`);
  const argv = [...asRoot, "env", ...env, ...APT_GET, "install", "--no-install-recommends", ...names];
  await freshLists(asRoot, () => must(argv, { timeoutMs: APT_TIMEOUT_MS }));
  // Of these packages only Serf's brings a service. Its next start would be the machine's next boot.
  if (names.includes("serf")) await must([...asRoot, "update-rc.d", "serf", "disable"]);
}

/** Runs apt; if that fails, refreshes apt's lists of packages (absent on a new machine, outdated on an old one) and tries once more. */
async function freshLists(asRoot: readonly string[], apt: () => Promise<string>): Promise<void> {
  try {
    await apt();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    await must([...asRoot, ...APT_GET, "update"], { timeoutMs: APT_TIMEOUT_MS });
    await apt();
  }
}

const POLICY = "/usr/sbin/policy-rc.d";

/**
 * Asks Debian's package scripts not to start services (invoke-rc.d(8)), unless the machine has a policy of its own. The
 * policy means nothing once this process has ended, so it does no harm should it be left behind.
 */
async function forbidServices(asRoot: readonly string[]): Promise<AsyncDisposable> {
  const mark = "# Of virtxd's package installer";
  const text =
    `#!/bin/sh\n${mark}: no service starts while it runs.\n[ ! -d /proc/${Deno.pid} ] || exit 101\n`;
  const found = await run(["cat", POLICY]);
  if (found.code === 0 && !found.stdout.includes(mark)) return { async [Symbol.asyncDispose]() {} };
  await must([...asRoot, "tee", POLICY], { stdin: text });
  await must([...asRoot, "chmod", "755", POLICY]);
  return {
    async [Symbol.asyncDispose]() {
      await must([...asRoot, "rm", "--force", POLICY]);
    },
  };
}
