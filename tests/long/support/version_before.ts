import { must } from "../../../scripts/command.ts";
import { ROOT } from "../../../scripts/paths.ts";

/** The last commit of the version before, with which hosts of this version have to get along while a cluster is upgraded. */
const COMMIT = "942f555";
const CACHE = `${ROOT}/.lab/cache`;
const BUILD_MS = 600_000;

/**
 * The executable of the version before, built from the history of this checkout; it is kept for the next time.
 * @throws Error, saying what is missing, if the checkout has no such history
 */
export async function versionBefore(): Promise<string> {
  const executable = `${CACHE}/virtxd-${COMMIT}`;
  if (await Deno.stat(executable).then(() => true, () => false)) return executable;
  const source = await Deno.makeTempDir({ prefix: "virtxd-before-" });
  try {
    await git(["archive", "--output", `${source}/source.tar`, COMMIT]);
    await must(["tar", "--extract", "--file", `${source}/source.tar`, "--directory", source]);
    const build = [Deno.execPath(), "run", "--allow-all", `${source}/scripts/build.ts`];
    await must(build, { cwd: source, timeoutMs: BUILD_MS });
    await Deno.mkdir(CACHE, { recursive: true });
    await Deno.copyFile(`${source}/dist/virtxd`, `${executable}.new`);
    await Deno.rename(`${executable}.new`, executable);
  } finally {
    await Deno.remove(source, { recursive: true });
  }
  return executable;
}

async function git(args: readonly string[]): Promise<void> {
  try {
    // The tests run as root, whoever has the checkout.
    await must(["git", "-c", `safe.directory=${ROOT}`, "-C", ROOT, ...args]);
  } catch (cause) {
    const message =
      `The version before cannot be had: this takes git, and a checkout whose history has ${COMMIT} ` +
      "(git fetch --unshallow gets the rest of a shallow one)";
    throw new Error(message, { cause });
  }
}
