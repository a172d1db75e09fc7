import { HttpPeers } from "../api/http_peers.ts";
import type { Transport } from "../api/transport.ts";
import { Cluster } from "../cluster/cluster.ts";
import { EpochFile } from "../cluster/epoch.ts";
import type { Inventory } from "../cluster/inventory.ts";
import { requireUnique } from "../cluster/members.ts";
import { systemTimers } from "../cluster/timers.ts";
import type { Clock } from "../model/clock.ts";
import { logFailure } from "../model/defect.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { SerfAgent } from "../serf/agent.ts";
import type { Config } from "./settings.ts";
import { step } from "./start_failure.ts";
import { formatAddress, isLoopback } from "./value_types.ts";

/** Longer than any key; what is longer is some other file. */
const KEY_LIMIT_BYTES = 4_096;

/** What a host needs to become part of a cluster. */
export interface ClusterParts {
  readonly config: Config;
  readonly inventory: Inventory;
  readonly hostUuid: string;
  /** The way to the other hosts. */
  readonly transport: Transport;
  /** Where this host remembers its epoch. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: Health;
  readonly signal: AbortSignal;
}

/**
 * This host's place in the cluster, not joined yet; alone, if the configuration names no Serf agent. What it needs is left
 * to `held`.
 * @throws {StartFailure} if the agent cannot be reached, or another host is in this one's place
 */
export async function openCluster(held: AsyncDisposableStack, o: ClusterParts): Promise<Cluster> {
  const { config, inventory, hostUuid, clock, log, signal } = o;
  const serf = await step(
    "is the Serf agent running, with its rpc_addr as in --serf-rpc? For a host on its own: --serf-rpc none",
    () => openAgent(config, log, signal),
  );
  if (serf) {
    held.use(serf);
    await step(
      "has the host been cloned? Give one of the two another host_uuid in libvirtd.conf",
      () => requireOnlyOne(serf, hostUuid),
    );
  }
  const epochs = new EpochFile(`${o.directory}/${hostUuid}.epoch`, clock);
  const remember = (epoch: number) => {
    epochs.remember(epoch).catch((error) => logFailure(log, "warn", "epoch not kept", error));
  };
  return held.use(
    new Cluster({
      serf,
      peers: new HttpPeers(o.transport),
      inventory,
      self: hostUuid,
      apiPort: serf ? portForPeers(config, o) : 0,
      epoch: await step(`can ${o.directory} be written?`, () => epochs.next()),
      onEpoch: remember,
      clock,
      timers: systemTimers,
      random: Math.random,
      log,
      health: o.health,
    }),
  );
}

async function openAgent(
  { serfRpc, serfKeyFile }: Config,
  log: Logger,
  signal: AbortSignal,
): Promise<SerfAgent | undefined> {
  if (serfRpc === null) return undefined;
  const authKey = serfKeyFile === null ? undefined : await readKey(serfKeyFile);
  return await SerfAgent.open({
    address: formatAddress(serfRpc),
    ...(authKey !== undefined && { authKey }),
    log,
    signal,
  });
}

async function readKey(path: string): Promise<string> {
  let text;
  try {
    text = await Deno.readTextFile(path);
  } catch (cause) {
    throw new VirtxError("unavailable", `Cannot read the Serf agent's key: ${errorMessage(cause)}`, {
      cause,
    });
  }
  const key = text.trim();
  if (key !== "" && key.length <= KEY_LIMIT_BYTES) return key;
  throw new VirtxError("unavailable", `Cannot take the content of ${path} for the Serf agent's key`);
}

/** Two hosts with one UUID would undo each other's changes. */
async function requireOnlyOne(agent: SerfAgent, hostUuid: string): Promise<void> {
  const [{ name }, members] = await Promise.all([agent.self(), agent.members()]);
  requireUnique(members, name, hostUuid);
}

/** The port at which other hosts reach this one's API: of the first address that is not this machine's own affair. */
function portForPeers({ listen }: Config, { health, log }: Pick<ClusterParts, "health" | "log">): number {
  const open = listen.find((address) => !isLoopback(address));
  if (!open) {
    const where = listen.length === 0 ? "on its socket only" : "on loopback only";
    const reason = `other hosts cannot reach this one: it listens ${where}`;
    log.warn(reason, {
      hint: "--listen an address of this host; or, for a host on its own, --serf-rpc none",
    });
    health.report("not reachable", { reason, blocking: false });
  }
  return (open ?? listen[0])?.port ?? 0;
}
