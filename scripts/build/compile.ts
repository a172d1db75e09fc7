import { must } from "../command.ts";
import { BUNDLE_MAIN } from "./bundle.ts";
import { RUNTIME_FLAGS } from "./runtime_flags.ts";

/** The executable by `deno compile`: denort with the bundle in it. */
export async function compile(bundleDirectory: string, output: string): Promise<void> {
  await must([
    Deno.execPath(),
    "compile",
    "--quiet",
    "--no-config",
    "--no-check",
    ...RUNTIME_FLAGS,
    `--include=${bundleDirectory}`,
    `--output=${output}`,
    `${bundleDirectory}/${BUNDLE_MAIN}`,
  ], { timeoutMs: 600_000 });
}
