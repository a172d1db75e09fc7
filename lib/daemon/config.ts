import { parse, TomlError, type TomlValue } from "smol-toml";
import { errorMessage } from "../model/error.ts";
import { didYouMean } from "../model/suggest.ts";
import {
  type Config,
  DEFAULT_CONFIG_PATH,
  SETTING_NAMES,
  type SettingName,
  settingOf,
  spellings,
} from "./settings.ts";
import { type KeyPosition, keyPositions } from "./toml_keys.ts";
import { formatAddress, isLoopback } from "./value_types.ts";

/** Environment variables that begin with this are ours, and unknown ones mistakes. */
const PREFIX = "VIRTXD_";
/** Names the configuration file, so it cannot stand in it. */
const CONFIG_VARIABLE = `${PREFIX}CONFIG`;

export type Source = "flag" | "environment" | "file" | "default";

/** Where a value comes from. */
export interface Origin {
  readonly source: Source;
  /** The flag, the variable, or file:line:column. */
  readonly where: string;
}

export interface Problem extends Origin {
  readonly message: string;
}

/** The configuration cannot be used; it lists everything that is wrong with it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";

  constructor(readonly problems: readonly Problem[]) {
    super(problems.map(({ where, message }) => `${where}: ${message}`).join("\n"));
  }
}

/** The effective configuration. */
export interface ResolvedConfig {
  readonly values: Config;
  readonly origins: Readonly<Record<SettingName, Origin>>;
}

/** What was given on the command line, as text; a repeated flag's values are joined by commas. */
export interface Flags {
  readonly values: ReadonlyMap<SettingName, string>;
  /** --config */
  readonly config?: string;
}

/**
 * Flags before environment before file before defaults.
 *
 * @param env the whole environment; an empty variable counts as unset
 * @param defaultPath the file that is read if it exists and no other is named
 * @throws ConfigError with every problem that there is
 */
export async function loadConfig(
  flags: Flags,
  env: Readonly<Record<string, string>>,
  defaultPath = DEFAULT_CONFIG_PATH,
): Promise<ResolvedConfig> {
  const loading = new Loading();
  await loading.file(flags.config ?? (env[CONFIG_VARIABLE] || undefined), defaultPath);
  loading.environment(env);
  loading.flags(flags.values);
  return loading.result();
}

/** The effective configuration as a configuration file, with the origin of each value beside it. */
export function describeConfig({ values, origins }: ResolvedConfig): string {
  const lines = SETTING_NAMES.map((name) => ({
    assignment: `${spellings(name).key} = ${settingOf(name).type.toToml(values[name])}`,
    origin: origins[name].where,
  }));
  const width = Math.max(...lines.map(({ assignment }) => assignment.length));
  return lines.map(({ assignment, origin }) => `${assignment.padEnd(width)}  # ${origin}\n`).join("");
}

/** One reading of all sources, the weakest first, so that later ones replace what is there. */
class Loading {
  readonly #problems: Problem[] = [];
  readonly #values: Partial<Record<SettingName, unknown>> = {};
  readonly #origins: Partial<Record<SettingName, Origin>> = {};

  constructor() {
    for (const name of SETTING_NAMES) {
      this.#put(name, settingOf(name).default, { source: "default", where: "default" });
    }
  }

  async file(named: string | undefined, defaultPath: string): Promise<void> {
    const path = named ?? defaultPath;
    let toml: string;
    try {
      toml = await Deno.readTextFile(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound && named === undefined) return;
      return this.#problem({ source: "file", where: path }, `cannot be read: ${errorMessage(error)}`);
    }
    let table;
    try {
      table = parse(toml);
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      const [reason = ""] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
      return this.#problem({ source: "file", where: `${path}:${error.line}:${error.column}` }, reason);
    }
    this.#fileKeys(path, table, keyPositions(toml));
  }

  #fileKeys(path: string, table: Readonly<Record<string, TomlValue>>, keys: readonly KeyPosition[]): void {
    const known = new Map(SETTING_NAMES.map((name) => [spellings(name).key, name]));
    const done = new Set<SettingName>();
    for (const key of keys) {
      const [first = ""] = key.path;
      const origin: Origin = { source: "file", where: `${path}:${key.line}:${key.column}` };
      const name = known.get(first);
      if (name !== undefined) {
        if (!done.has(name)) this.#read(name, origin, (type) => type.fromToml(table[first] ?? ""));
        done.add(name);
      } else if (!hasKeysInside(key, keys)) {
        const spelled = key.path.join(".");
        const meant = didYouMean(spelled.replaceAll(".", "-"), known.keys());
        this.#problem(origin, `there is no setting ${JSON.stringify(spelled)}${meant}`);
      }
    }
  }

  environment(env: Readonly<Record<string, string>>): void {
    const known = new Map(SETTING_NAMES.map((name) => [spellings(name).variable, name]));
    for (const [variable, value] of Object.entries(env)) {
      if (!variable.startsWith(PREFIX) || variable === CONFIG_VARIABLE || value === "") continue;
      const origin: Origin = { source: "environment", where: variable };
      const name = known.get(variable);
      if (name !== undefined) this.#read(name, origin, (type) => type.fromText(value), value);
      else {
        const meant = didYouMean(variable, [...known.keys(), CONFIG_VARIABLE]);
        this.#problem(origin, `there is no setting of this name${meant}`);
      }
    }
  }

  flags(values: ReadonlyMap<SettingName, string>): void {
    for (const [name, value] of values) {
      const origin: Origin = { source: "flag", where: spellings(name).flag };
      this.#read(name, origin, (type) => type.fromText(value), value);
    }
  }

  result(): ResolvedConfig {
    // Sound: the constructor has put a value of the right type under every name, and #read replaces like by like.
    const values = this.#values as Config;
    const origins = this.#origins as Record<SettingName, Origin>;
    this.#checkListeners(values, origins);
    if (this.#problems.length > 0) throw new ConfigError(this.#problems);
    return { values, origins };
  }

  #checkListeners({ listen, socket, insecure }: Config, origins: Record<SettingName, Origin>): void {
    const first = listen.find((address) => !isLoopback(address)) ?? listen[0];
    if (first !== undefined && !insecure) {
      const [whence, trusted] = isLoopback(first)
        ? [
          "by every user of this machine",
          "they are all trusted, or leave --listen out: the socket is there",
        ]
        : ["from other machines", "that network is trusted"];
      this.#problem(
        origins.listen,
        `${formatAddress(first)} can be reached ${whence}, and whoever reaches it controls all VMs: ` +
          `virtxd has no TLS and no client certificates yet. Give --insecure if ${trusted}`,
      );
    }
    if (listen.length === 0 && socket === null) {
      this.#problem(origins.listen, "no address and no socket to listen at: nobody could reach virtxd");
    }
  }

  #read(
    name: SettingName,
    origin: Origin,
    read: (type: ReturnType<typeof settingOf>["type"]) => unknown,
    text?: string,
  ): void {
    const { type } = settingOf(name);
    const value = read(type);
    if (value !== undefined) return this.#put(name, value, origin);
    const subject = text === undefined ? spellings(name).key : JSON.stringify(text);
    this.#problem(origin, `${subject} must be ${type.expected}`);
  }

  #put(name: SettingName, value: unknown, origin: Origin): void {
    this.#values[name] = value;
    this.#origins[name] = origin;
  }

  #problem(origin: Origin, message: string): void {
    this.#problems.push({ ...origin, message });
  }
}

/** Whether this is a table's header or name: the keys in it are what is worth a word. */
function hasKeysInside(table: KeyPosition, keys: readonly KeyPosition[]): boolean {
  return keys.some((key) =>
    key.path.length > table.path.length && table.path.every((name, depth) => key.path[depth] === name)
  );
}
