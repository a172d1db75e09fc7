import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { renderSheet, type SheetPart } from "../output/sheet.ts";
import { choose } from "../server/open.ts";
import { configPath } from "../server/config_path.ts";
import { readProfiles } from "../server/profiles.ts";

/** `config show`. */
export async function run({ env, printer, out }: Context, input: Input): Promise<ExitCode> {
  const path = configPath(env);
  const config = await readProfiles(path);
  const choice = await choose({ servers: input.string("server"), profile: input.string("profile"), env });
  const record = {
    file: path,
    default: config.default ?? null,
    profiles: Object.fromEntries([...config.profiles].map(([name, { servers }]) => [name, servers])),
    servers: choice.endpoints,
    because: choice.because,
  };
  await printer.one({ name: () => choice.endpoints.join(","), record: () => record }, record, () => {
    const parts: SheetPart[] = [{
      lines: [
        ["File", path],
        ["Default profile", config.default ?? "-"],
        ["Server asked", `${choice.endpoints.join(", then ")} (${choice.because})`],
      ],
    }];
    if (config.profiles.size > 0) {
      const lines = [...config.profiles].map(([name, { servers }]) => [name, servers.join(", ")] as const);
      parts.push({ heading: "Profiles", lines });
    }
    return renderSheet(parts, out.colours);
  });
  return ExitCode.ok;
}
