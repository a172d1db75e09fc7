import { parse, stringify, TomlError } from "smol-toml";
import { reasonOf } from "../../posix/reason.ts";
import { didYouMean } from "../../model/suggest.ts";
import { ConfigurationError } from "../configuration_error.ts";
import { parseEndpoint } from "./endpoint.ts";

/** A set of servers that are one cluster. */
export interface Profile {
  /** As they were written; tried in turn. */
  readonly servers: readonly string[];
}

/** What the configuration file says. */
export interface Profiles {
  /** The profile that counts unless told otherwise. */
  readonly default: string | undefined;
  readonly profiles: ReadonlyMap<string, Profile>;
}

/**
 * Reads the configuration; one that is not there is empty.
 * @throws ConfigurationError with the place of what is wrong
 */
export async function readProfiles(path: string): Promise<Profiles> {
  let text;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { default: undefined, profiles: new Map() };
    throw new ConfigurationError(`Cannot read "${path}": ${reasonOf(error)}`, error);
  }
  try {
    return interpret(parse(text), path);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = ""] = error.message.split("\n");
    throw new ConfigurationError(`${path}:${error.line}:${error.column}: ${what}`, error);
  }
}

const KEYS = ["default", "profiles"];

function interpret(tree: Readonly<Record<string, unknown>>, path: string): Profiles {
  for (const key of Object.keys(tree)) {
    if (!KEYS.includes(key)) {
      throw wrong(path, `there is no key ${JSON.stringify(key)}${didYouMean(key, KEYS)}`);
    }
  }
  const { default: fallback, profiles = {} } = tree;
  if (fallback !== undefined && typeof fallback !== "string") {
    throw wrong(path, "default must be a profile's name");
  }
  if (!isTable(profiles)) throw wrong(path, "profiles must be a table");
  const found = new Map<string, Profile>();
  for (const [name, profile] of Object.entries(profiles)) found.set(name, readProfile(name, profile, path));
  if (fallback !== undefined && !found.has(fallback)) {
    throw wrong(path, `default is ${JSON.stringify(fallback)}, and there is no such profile`);
  }
  return { default: fallback, profiles: found };
}

function readProfile(name: string, profile: unknown, path: string): Profile {
  const servers = isTable(profile) ? profile.servers : undefined;
  if (!isTable(profile) || !Array.isArray(servers) || servers.length === 0) {
    throw wrong(path, `profiles.${name} must have servers, a list of at least one`);
  }
  for (const key of Object.keys(profile)) {
    if (key !== "servers") throw wrong(path, `profiles.${name} has no key ${JSON.stringify(key)}`);
  }
  for (const server of servers) {
    if (typeof server !== "string") throw wrong(path, `profiles.${name}.servers must be texts`);
    parseEndpoint(server);
  }
  return { servers };
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrong(path: string, what: string): ConfigurationError {
  return new ConfigurationError(`${path}: ${what}`);
}

/** The profile of a name. ConfigurationError, if there is none. */
export function profileOf({ profiles }: Profiles, name: string, path: string): Profile {
  const profile = profiles.get(name);
  if (profile !== undefined) return profile;
  const there = profiles.size === 0 ? "has no profiles" : `has ${[...profiles.keys()].join(", ")}`;
  throw new ConfigurationError(`There is no profile ${JSON.stringify(name)}: ${path} ${there}`);
}

/** The text of the configuration file. */
export function printProfiles({ default: fallback, profiles }: Profiles): string {
  const tree = {
    ...(fallback !== undefined && { default: fallback }),
    profiles: Object.fromEntries(
      [...profiles].map(([name, { servers }]) => [name, { servers: [...servers] }]),
    ),
  };
  return stringify(tree);
}

/** Writes the configuration, for this user alone. */
export async function writeProfiles(path: string, profiles: Profiles): Promise<void> {
  const { UserFiles } = await import("../../posix/user_files.ts");
  using files = UserFiles.open();
  files.makeDirectory(path.slice(0, path.lastIndexOf("/")));
  files.replace(path, printProfiles(profiles));
}
