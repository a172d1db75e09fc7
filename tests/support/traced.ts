import { run } from "./run.ts";
import { TempDir } from "./temp_dir.ts";

const CALLS = ["write", "fsync", "rename", "link", "linkat", "unlink", "mkdir", "rmdir"];

/**
 * Runs a module as a program of its own under strace(1) and gives the system calls that make changes below a directory
 * or make them durable, in order: "fsync ds/a.raw", "link ds/.a.raw.tmp ds/a.raw".
 */
export async function changesBelow(
  directory: string,
  module: string,
  ...args: readonly string[]
): Promise<string[]> {
  await using dir = await TempDir.create();
  const log = dir.at("strace");
  const filter = `trace=${CALLS.join(",")}`;
  const strace = ["-f", "-qq", "-y", "-s", "4096", "-e", filter, "-o", log];
  await run("strace", ...strace, Deno.execPath(), "run", "--no-check", "-A", module, ...args);
  const calls: string[] = [];
  for (const line of (await Deno.readTextFile(log)).split("\n")) {
    const [, call, rest] = /^\d+ +(\w+)\((.*)$/.exec(line) ?? [];
    const paths = [...(rest ?? "").matchAll(/["<](\/[^">]*)[">]/g)].map(([, path = ""]) => path)
      .filter((path) => path.startsWith(`${directory}/`)).map((path) => path.slice(directory.length + 1));
    if (call && paths.length > 0) calls.push([call.replace("linkat", "link"), ...paths].join(" "));
  }
  return calls;
}
