import type { Flags } from "../daemon/config.ts";
import { SETTING_NAMES, type SettingName, settingOf, spellings } from "../daemon/settings.ts";
import { didYouMean } from "../model/suggest.ts";

/** What the command line asks for. */
export type ServeRequest =
  | { readonly kind: "help" | "version" }
  | { readonly kind: "check" | "serve"; readonly flags: Flags }
  /** It cannot be understood, for these reasons. */
  | { readonly kind: "mistake"; readonly messages: readonly string[] };

/**
 * Reads the arguments behind `virtxd` or `virtxd serve`: `--flag value`, `--flag=value`, and `--flag` for a switch. The
 * values stay text, as the configuration judges them all at once. By hand and from the table of settings, because
 * commander costs more time to load than all the rest until the daemon begins its work.
 */
export function parseServeArguments(args: readonly string[]): ServeRequest {
  const known = new Map(SETTING_NAMES.map((name) => [spellings(name).flag, name]));
  const values = new Map<SettingName, string>();
  const messages: string[] = [];
  let config: string | undefined;
  let kind: "check" | "serve" = "serve";

  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const { flag, inline } = split(arg);
    const name = known.get(flag);
    const isSwitch = name === undefined ? flag !== "--config" : settingOf(name).type.placeholder === "";
    if (name === undefined && !ALONE.has(flag) && flag !== "--config") {
      messages.push(
        flag.startsWith("-")
          ? `there is no flag ${flag}${
            didYouMean(flag, [...known.keys(), "--help", "--version", "--check-config", "--config"])
          }`
          : `the argument ${JSON.stringify(flag)} is not a flag`,
      );
    } else if (isSwitch && inline !== undefined) {
      messages.push(`${flag} takes no value`);
    } else if (flag === "-h" || flag === "--help") {
      return { kind: "help" };
    } else if (flag === "-V" || flag === "--version") {
      return { kind: "version" };
    } else if (flag === "--check-config") {
      kind = "check";
    } else {
      const value = isSwitch ? "true" : inline ?? rest.shift();
      if (value === undefined) messages.push(`${flag} needs a value`);
      else if (name === undefined) config = value;
      else values.set(name, joined(name, values.get(name), value));
    }
  }
  if (messages.length > 0) return { kind: "mistake", messages };
  return { kind, flags: { values, ...(config !== undefined && { config }) } };
}

/** Flags that are not settings and take no value. */
const ALONE: ReadonlySet<string> = new Set(["-h", "--help", "-V", "--version", "--check-config"]);

function split(arg: string): { flag: string; inline: string | undefined } {
  const equals = arg.startsWith("--") ? arg.indexOf("=") : -1;
  return equals === -1
    ? { flag: arg, inline: undefined }
    : { flag: arg.slice(0, equals), inline: arg.slice(equals + 1) };
}

/** A list grows with each flag; of anything else the last one counts. */
function joined(name: SettingName, before: string | undefined, value: string): string {
  return before !== undefined && settingOf(name).type.repeatable ? `${before},${value}` : value;
}
