import { fileURLToPath } from "node:url";
import { ROOT } from "../../../scripts/paths.ts";
import { heard } from "../../../scripts/test/transcript.ts";

const SCRIPT = fileURLToPath(new URL("../../../scripts/fresh_root.sh", import.meta.url));
/** Debian's packages of a run, for the next. */
const CACHE = `${ROOT}/.lab/cache/fresh-root`;

export interface FreshRootOptions {
  /** Debian's name of a release. */
  readonly suite: "bookworm" | "trixie";
  /** An ordinary user who may use sudo; without it, root runs the script. */
  readonly as?: string;
  /** Where the project lies in it. */
  readonly at?: string;
  /** What is installed beside the README's nodejs, npm and ca-certificates. */
  readonly packages?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What a script printed, and how it ended. */
export interface FreshRun {
  readonly code: number;
  readonly output: string;
}

/** Runs a shell script in the project's directory on a Debian that is new, and shows what it prints. */
export async function inFreshRoot(options: FreshRootOptions, script: string): Promise<FreshRun> {
  const packages = ["nodejs", "npm", "ca-certificates", ...options.packages ?? []].join(" ");
  const child = new Deno.Command(SCRIPT, {
    args: [
      ...["--cache", CACHE, "--packages", packages],
      ...(options.as === undefined ? [] : ["--as", options.as]),
      ...(options.at === undefined ? [] : ["--at", options.at]),
      ...[options.suite, "sh", "-c", script],
    ],
    // The build server's CI=true is not for the machine of a newcomer, who asks for no tests on a new Debian.
    env: { CI: "", ...options.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [out, err, { code }] = await Promise.all([
    heard(child.stdout, Deno.stdout),
    heard(child.stderr, Deno.stderr),
    child.status,
  ]);
  return { code, output: out + err };
}

/** A command as the README prints it: the line of its shell examples with these words. */
export async function readmeCommand(words: string): Promise<string> {
  const readme = await Deno.readTextFile(`${ROOT}/README.md`);
  const line = readme.split("\n").find((text) => text.startsWith("npx ") && text.includes(words));
  if (line === undefined) throw new Error(`README.md has no line with: npx … ${words}`);
  return line.replace(/ +#.*/, "");
}

/**
 * Shell functions: `services` lists what starts with the machine, `left_alone` says what a command has changed of that, and what
 * else of the installation or of a foreign owner it has left.
 */
export const WATCH = `
services() { find /etc/systemd/system /etc/rc?.d/S* -type l 2>/dev/null | sort; }
services >/tmp/services
left_alone() {
  services | diff /tmp/services - | sed -n 's/^>/ENABLED/p'
  for file in /usr/sbin/policy-rc.d /var/lib/misc/virtxd-installing; do [ ! -e "$file" ] || echo "LEFT $file"; done
  find . ~/.cache ! -user "$(id -un)" | sed 's/^/FOREIGN /' | head
}
`;

/** The lines of {@link WATCH}. */
export function leftBehind(output: string): string[] {
  return output.split("\n").filter((line) => /^(ENABLED|LEFT|FOREIGN) /.test(line));
}
