import { Cluster } from "./cluster.ts";
import { DEFAULT_ENDPOINTS, parseEndpoints } from "./endpoint.ts";
import { configPath, configPathIfAny } from "./config_path.ts";
import { Server } from "./server.ts";

export interface ChoiceOptions {
  /** --server. */
  readonly servers: string | undefined;
  /** --profile. */
  readonly profile: string | undefined;
  readonly env: (name: string) => string | undefined;
}

export interface OpenOptions extends ChoiceOptions {
  /** Of this program. */
  readonly version: string;
  readonly signal: AbortSignal;
  /** See ServerOptions. */
  readonly onCaution: (text: string) => void;
}

/** Which servers are asked, and what has decided it. */
export interface Choice {
  readonly endpoints: readonly string[];
  /** "--server", "profile lab", "default". */
  readonly because: string;
}

/**
 * The cluster that is meant; see {@link choose}. Nothing is sent yet.
 * @throws VirtxError invalid
 */
export async function openCluster(
  o: OpenOptions,
): Promise<{ readonly cluster: Cluster; readonly server: Server }> {
  const { endpoints } = await choose(o);
  const headers = { "user-agent": `virtx/${o.version}` };
  const server = new Server({ endpoints, signal: o.signal, headers, onCaution: o.onCaution });
  return { cluster: new Cluster(server), server };
}

/** Chooses by --server, --profile, VIRTX_API_SERVER, VIRTX_PROFILE, the default profile; else it is this host's own server. */
export async function choose({ servers, profile, env }: ChoiceOptions): Promise<Choice> {
  if (servers !== undefined) return { endpoints: parseEndpoints(servers), because: "--server" };
  const variable = env("VIRTX_API_SERVER");
  if (profile === undefined && variable) {
    return { endpoints: parseEndpoints(variable), because: "VIRTX_API_SERVER" };
  }
  const named = profile ?? (env("VIRTX_PROFILE") || undefined);
  // Without a name the file decides only if it is there, which is asked first: TOML need not be loaded for nothing.
  const found = configPathIfAny(env);
  if (named === undefined && (found === undefined || !await isThere(found))) return OWN;
  const path = configPath(env);
  const { profileOf, readProfiles } = await import("./profiles.ts");
  const profiles = await readProfiles(path);
  const name = named ?? profiles.default;
  if (name === undefined) return OWN;
  return {
    endpoints: profileOf(profiles, name, path).servers.flatMap(parseEndpoints),
    because: `profile ${name}`,
  };
}

const OWN: Choice = { endpoints: DEFAULT_ENDPOINTS, because: "this host" };

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
