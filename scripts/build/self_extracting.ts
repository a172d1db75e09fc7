import { createHash } from "node:crypto";
import { must } from "../command.ts";
import { BUNDLE_MAIN } from "./bundle.ts";

/** The flags of `deno run` that keep it from looking at, fetching or writing anything but the program. */
const ISOLATION_FLAGS = ["--quiet", "--no-config", "--no-lock", "--no-remote", "--no-npm"];

/** Run once on the host, after unpacking. */
const WARM_UP = "warm.js";

export interface SelfExtractingParts {
  /** Deno, to be run as `deno run <flags> main.js <arguments>`. */
  readonly runtime: string;
  /** Where its compressed form is kept from one build to the next; it takes longer than all else. */
  readonly packedRuntime: string;
  /** The directory with main.js and what it imports; JavaScript files only. */
  readonly program: string;
  /** What the program may do; without spaces or quotes. */
  readonly flags: readonly string[];
  readonly output: string;
}

/**
 * The executable where `deno compile` cannot make one: launcher.sh with the runtime and the program behind it. The same
 * parts give the same bytes, so that a host unpacks an unchanged build only once.
 */
export async function assemble(parts: SelfExtractingParts): Promise<void> {
  await using scratch = await scratchDirectory();
  await packRuntime(parts.runtime, parts.packedRuntime);
  const packedProgram = `${scratch.path}/program.tar.gz`;
  const reproducible = [
    "--sort=name",
    "--mtime=@0",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--mode=400",
  ];
  const files = (await Array.fromAsync(Deno.readDir(parts.program))).map(({ name }) => name).sort();
  await Deno.writeTextFile(`${scratch.path}/${WARM_UP}`, warmUp(files));
  await must([
    "tar",
    ...reproducible,
    ...["--use-compress-program=gzip -n", `--file=${packedProgram}`, "--create"],
    ...[`--directory=${parts.program}`, ...files],
    ...[`--directory=${scratch.path}`, WARM_UP],
  ]);

  const programFiles = [
    ...await Promise.all(files.map((name) => nameAndSize(parts.program, name))),
    await nameAndSize(scratch.path, WARM_UP),
  ];
  const runtime = await Deno.readFile(parts.packedRuntime);
  const program = await Deno.readFile(packedProgram);
  const sha256 = createHash("sha256").update(runtime).update(program).digest("hex");
  const launcher = fillIn(await Deno.readTextFile(new URL("launcher.sh", import.meta.url)), {
    ID: sha256.slice(0, 16),
    SHA256: sha256,
    RUNTIME_PACKED: String(runtime.length),
    RUNTIME_BYTES: String((await Deno.stat(parts.runtime)).size),
    PROGRAM_FILES: programFiles.map(({ name }) => name).join(" "),
    PROGRAM_SIZES: programFiles.map(({ size }) => size).join(" "),
    FLAGS: [...ISOLATION_FLAGS, ...parts.flags].join(" "),
  });

  using file = await Deno.open(parts.output, { write: true, create: true, truncate: true, mode: 0o755 });
  for (const part of [launcher, runtime, program]) await writeAll(file, part);
}

/** Puts values in place of @NAMES@, and the length of the result itself, of a fixed width, in place of @PAYLOAD_AT@. */
function fillIn(template: string, values: Readonly<Record<string, string>>): Uint8Array {
  const text = template.replace(
    /@([A-Z0-9_]+)@/g,
    (mark, name: string) => name === "PAYLOAD_AT" ? mark : values[name] ?? mark,
  );
  const offset = "@PAYLOAD_AT@";
  const bytes = new TextEncoder().encode(text).length;
  return new TextEncoder().encode(text.replace(offset, String(bytes + 1).padEnd(offset.length)));
}

async function nameAndSize(directory: string, name: string): Promise<{ name: string; size: number }> {
  return { name, size: (await Deno.stat(`${directory}/${name}`)).size };
}

/** Loads all of the program but its beginning, which would start it; so the runtime's caches get to know it. */
function warmUp(files: readonly string[]): string {
  return files.filter((name) => name !== BUNDLE_MAIN).map((name) => `import "./${name}";\n`).join("");
}

async function packRuntime(runtime: string, packed: string): Promise<void> {
  const { mtime } = await Deno.stat(runtime);
  try {
    const existing = await Deno.stat(packed);
    if (existing.mtime && mtime && existing.mtime > mtime) return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const aside = `${packed}.new`;
  const gzip = new Deno.Command("gzip", { args: ["-nc", runtime], stdout: "piped" }).spawn();
  await Deno.writeFile(aside, gzip.stdout);
  if (!(await gzip.status).success) throw new Error(`gzip could not compress "${runtime}"`);
  await Deno.rename(aside, packed);
}

async function scratchDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "virtxd-build-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await file.write(bytes));
}
