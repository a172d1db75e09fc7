import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import { versionText } from "../version.ts";

/** `version`. */
export function run({ out, version }: Context): Promise<ExitCode> {
  out.write(versionText(version));
  return Promise.resolve(ExitCode.ok);
}
