import { Cluster } from "./cluster.ts";
import { DEFAULT_ENDPOINTS, parseEndpoints } from "./endpoint.ts";
import { Server } from "./server.ts";

export interface OpenOptions {
  /** --server. */
  readonly servers: string | undefined;
  /** --profile. */
  readonly profile: string | undefined;
  readonly env: (name: string) => string | undefined;
  /** Of this program. */
  readonly version: string;
  readonly signal: AbortSignal;
}

/**
 * The cluster that is meant: by --server, --profile, VIRTX_API_SERVER, VIRTX_PROFILE, the configuration's default profile, or
 * else this host's own server. Nothing is sent yet.
 * @throws VirtxError invalid, not_found (no such profile)
 */
export function openCluster(
  o: OpenOptions,
): { readonly cluster: Cluster; readonly server: Server } {
  const server = new Server({
    endpoints: endpoints(o),
    signal: o.signal,
    headers: { "user-agent": `virtx/${o.version}` },
  });
  return { cluster: new Cluster(server), server };
}

function endpoints(o: OpenOptions): readonly string[] {
  if (o.servers !== undefined) return parseEndpoints(o.servers);
  const fromEnvironment = o.env("VIRTX_API_SERVER");
  if (o.profile === undefined && fromEnvironment) return parseEndpoints(fromEnvironment);
  return DEFAULT_ENDPOINTS;
}
