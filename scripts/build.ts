/**
 * Builds dist/virtxd, the executable: by `deno compile`, or, where the runtime for that cannot be had, as a script
 * that unpacks the Deno runtime of this build. Either is one file to copy, used in the same way.
 */
import { bundle } from "./build/bundle.ts";
import { compile } from "./build/compile.ts";
import { findDenort } from "./build/denort.ts";
import { RUNTIME_FLAGS } from "./build/runtime_flags.ts";
import { assemble } from "./build/self_extracting.ts";
import { must } from "./command.ts";
import { ROOT } from "./paths.ts";
import { printedProgress as progress } from "./progress.ts";
import project from "../deno.json" with { type: "json" };

const dist = `${ROOT}/dist`;
const output = `${dist}/virtxd`;
/** What is not tried yet; the last build stays until then, and whoever runs it at that moment keeps it. */
const untried = `${output}.new`;
const program = `${dist}/bundle`;

await Deno.mkdir(dist, { recursive: true });
using directory = await Deno.open(dist);
await directory.lock(true); // two builds at once would take each other's parts

await progress.step("bundle the program", async () => {
  await Deno.remove(program, { recursive: true }).catch(() => {});
  await bundle(ROOT, program);
});

const denort = await progress.step("look for the runtime of deno compile", () => findDenort(Deno.env));
if (denort.usable) {
  await progress.step("deno compile", () => compile(program, untried));
} else {
  progress.note(`  NOTE: ${denort.why}.`);
  progress.note(
    "  So this is the self-extracting form: a launcher with the Deno runtime and the program behind it.",
  );
  await progress.step("pack the runtime and the program", () =>
    assemble({
      runtime: Deno.execPath(),
      packedRuntime: `${dist}/deno-${Deno.version.deno}-${Deno.build.target}.gz`,
      program,
      flags: RUNTIME_FLAGS,
      output: untried,
    }));
}

await progress.step("try it: virtxd --version", async () => {
  const said = await must([untried, "--version"], { env: { PATH: "/usr/bin:/bin" } });
  if (!said.startsWith(`virtxd ${project.version}\n`)) throw new Error(`it says "${said.trim()}"`);
});
await Deno.rename(untried, output);
const { size } = await Deno.stat(output);
progress.note(`built ${output}: ${(size / 1e6).toFixed(1)} MB`);
