import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import { manPage } from "../man.ts";

/** `man`. */
export function run({ out, version }: Context): Promise<ExitCode> {
  out.data(manPage(version));
  return Promise.resolve(ExitCode.ok);
}
