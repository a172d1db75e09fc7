import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { configPath } from "../server/config_path.ts";
import { profileOf, readProfiles, writeProfiles } from "../server/profiles.ts";

/** `config remove`. */
export async function run({ env, out, options }: Context, input: Input): Promise<ExitCode> {
  const path = configPath(env);
  const config = await readProfiles(path);
  const name = input.required("profile");
  profileOf(config, name, path);
  const profiles = new Map(config.profiles);
  profiles.delete(name);
  await writeProfiles(path, { default: config.default === name ? undefined : config.default, profiles });
  if (!options.quiet) out.line(`${name}: removed`);
  return ExitCode.ok;
}
