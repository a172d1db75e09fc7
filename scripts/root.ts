import { fileURLToPath } from "node:url";
import { inBackground } from "../lib/model/background.ts";
import { must, run } from "./command.ts";
import { ROOT } from "./paths.ts";
import { print } from "./progress.ts";

/**
 * How scripts do as root what needs root: packages, namespaces, mounts. All else is done by the user who calls, so that the files
 * are the user's as well.
 */

/** We are not root, and there is no way to become it. */
export class NoRoot extends Error {
  override readonly name = "NoRoot";

  constructor() {
    super("This needs root: run it as root, or as a user whom sudo allows to become root");
  }
}

/** Where Debian has what only root needs; it is not in an ordinary user's PATH, nor in root's after a plain su. */
const SYSTEM_DIRECTORIES = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** What root needs of the user's environment beside PATH: where to get things from, whom to trust for it, and how to talk. */
const KEPT =
  /^(DENO_.*|NPM_CONFIG_.*|SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS|(ALL|FTP|HTTPS?|NO)_PROXY|LANG|LC_.*|TERM|NO_COLOR|CI|VIRTX_TEST_.*)$/i;

/** A search path with the directories that root needs. */
export function rootPath(path: string): string {
  const directories = path.split(":").filter((directory) => directory !== "");
  return [...directories, ...SYSTEM_DIRECTORIES.filter((directory) => !directories.includes(directory))].join(
    ":",
  );
}

/**
 * The command that runs argv as root. Deno's cache stays the user's, whatever HOME is said to be later on: else what is in it would
 * be downloaded again.
 * @throws {NoRoot}
 */
export async function asRoot(argv: readonly string[]): Promise<string[]> {
  const path = `PATH=${rootPath(Deno.env.get("PATH") ?? "")}`;
  const home = Deno.env.get("HOME") ?? "/root";
  const denoDir = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("XDG_CACHE_HOME") ?? `${home}/.cache`}/deno`;
  const settings = ["env", path, `HOME=${home}`, `DENO_DIR=${denoDir}`];
  if (Deno.uid() === 0) return [...settings, ...argv];
  const kept = Object.keys(Deno.env.toObject()).filter((name) => KEPT.test(name));
  // Names only: a value may be a secret, which the list of processes must not show.
  const preserve = kept.length > 0 ? [`--preserve-env=${kept.join(",")}`] : [];
  return [...await sudo(), ...preserve, ...settings, ...argv];
}

let found: Promise<readonly string[]> | undefined;

/** sudo, which has asked for the password by now if it wants one and there is a terminal to ask at. */
async function sudo(): Promise<readonly string[]> {
  return await (found ??= findSudo());
}

async function findSudo(): Promise<readonly string[]> {
  try {
    if ((await run(["sudo", "-n", "true"])).code === 0) return ["sudo", "-n"];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new NoRoot();
    throw error;
  }
  if (!Deno.stdin.isTerminal()) throw new NoRoot();
  print("Debian packages, network namespaces and mounts need root.\n");
  const { success } = await new Deno.Command("sudo", { args: ["--validate"], stdin: "inherit" }).spawn()
    .status;
  if (!success) throw new NoRoot();
  return ["sudo"];
}

/**
 * Runs a script of ours as root, with this terminal. What it leaves in the project and in Deno's cache belongs to their owner
 * afterwards.
 * @param script its URL
 * @returns its exit code
 */
export async function runAsRoot(script: string, args: readonly string[]): Promise<number> {
  const argv = [Deno.execPath(), "run", "--allow-all", fileURLToPath(script), ...args];
  try {
    return await inTerminal(await asRoot(argv));
  } finally {
    await handBack();
  }
}

/**
 * Starts the calling script again as root, if we are not.
 * @param script import.meta.url of the script
 * @returns the exit code of the script that ran as root, or undefined: we are root, go on
 */
export async function throughSudo(script: string): Promise<number | undefined> {
  if (Deno.uid() !== 0) return await runAsRoot(script, Deno.args);
  Deno.env.set("PATH", rootPath(Deno.env.get("PATH") ?? ""));
  return undefined;
}

/**
 * Runs a command to its end with this terminal. Ctrl-C is for the command, which gets it from the terminal, to answer; SIGTERM is
 * passed on.
 */
async function inTerminal([program = "", ...args]: readonly string[]): Promise<number> {
  const child = new Deno.Command(program, { args, stdin: "inherit" }).spawn();
  const ignore = () => {};
  const end = () => inBackground(passOn("TERM", child.pid));
  Deno.addSignalListener("SIGINT", ignore);
  Deno.addSignalListener("SIGTERM", end);
  try {
    return (await child.status).code;
  } finally {
    Deno.removeSignalListener("SIGINT", ignore);
    Deno.removeSignalListener("SIGTERM", end);
  }
}

/** sudo is root's, so only root can signal it. Best effort: it may have ended. */
async function passOn(signal: string, pid: number): Promise<void> {
  try {
    await run(await asRoot(["kill", `-${signal}`, String(pid)]));
  } catch (error) {
    print(`${error instanceof Error ? error.message : error}\n`);
  }
}

/** Gives what root has made in the project and in Deno's cache to the owner of either: the owner's next build wants to write there. */
export async function handBack(): Promise<void> {
  const { denoDir } = JSON.parse(await must([Deno.execPath(), "info", "--json"])) as { denoDir: string };
  for (const [owned, paths] of [[ROOT, [`${ROOT}/dist`, `${ROOT}/.lab`]], [denoDir, [denoDir]]] as const) {
    const { uid, gid } = await Deno.stat(owned);
    if (uid === null || uid === 0) continue;
    for (const path of paths) await handTo(`${uid}:${gid}`, path);
  }
}

async function handTo(owner: string, path: string): Promise<void> {
  const { code, stdout } = await run(["find", path, "-user", "0", "-print", "-quit"]);
  if (code !== 0 || stdout === "") return;
  await must(await asRoot(["chown", "--recursive", "--no-dereference", "--from=0", owner, path]));
}
