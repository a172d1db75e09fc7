import { VirtxError } from "../../model/error.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { configPath } from "../server/config_path.ts";
import { parseEndpoint } from "../server/endpoint.ts";
import { readProfiles, writeProfiles } from "../server/profiles.ts";

/** `config set`. */
export async function run({ env, out, options }: Context, input: Input): Promise<ExitCode> {
  const path = configPath(env);
  const config = await readProfiles(path);
  const name = input.required("profile");
  const given = input.words("server").flatMap((word) => word.split(",")).filter((word) => word !== "");
  given.forEach(parseEndpoint);
  const servers = given.length > 0 ? given : config.profiles.get(name)?.servers;
  if (servers === undefined) {
    throw new VirtxError("invalid", `Profile ${JSON.stringify(name)} is new: name its servers`);
  }
  await writeProfiles(path, {
    default: input.flag("default") ? name : config.default,
    profiles: new Map(config.profiles).set(name, { servers }),
  });
  if (!options.quiet) {
    out.line(`${name}: ${servers.join(", ")}${input.flag("default") ? ", the default" : ""}`);
  }
  return ExitCode.ok;
}
