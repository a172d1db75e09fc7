import type { LabHost } from "../host.ts";

/** Which packets do not arrive. */
export interface PacketLoss {
  readonly from: readonly LabHost[];
  readonly to: readonly LabHost[];
  /** Only those that come from or go to this port, by TCP or UDP; without it, all. */
  readonly port?: number;
  /** How many of them are lost: 0.3 is 30 %; without it, all. */
  readonly probability?: number;
}

/**
 * Loses packets on their way, in one direction, until disposed. They get lost where they arrive (iptables(8), chain
 * INPUT): a rule where they are sent would let the sender know.
 */
export async function losePackets(loss: PacketLoss): Promise<AsyncDisposable> {
  await using rules = new AsyncDisposableStack();
  for (const to of loss.to) {
    for (const from of loss.from) {
      for (const rule of rulesOf(from, loss)) {
        await to.exec([...IPTABLES, "--insert", "INPUT", ...rule]);
        rules.defer(() => remove(to, rule));
      }
    }
  }
  return rules.move();
}

/** Loses packets between two groups of hosts, in both directions, until disposed. */
export async function partition(
  one: readonly LabHost[],
  other: readonly LabHost[],
  which: Pick<PacketLoss, "port" | "probability"> = {},
): Promise<AsyncDisposable> {
  await using directions = new AsyncDisposableStack();
  directions.use(await losePackets({ ...which, from: one, to: other }));
  directions.use(await losePackets({ ...which, from: other, to: one }));
  return directions.move();
}

/** Loses packets between any two of the hosts, until disposed. */
export async function losePacketsAmong(
  hosts: readonly LabHost[],
  which: Pick<PacketLoss, "port" | "probability">,
): Promise<AsyncDisposable> {
  await using all = new AsyncDisposableStack();
  for (const [at, host] of hosts.entries()) all.use(await partition([host], hosts.slice(at + 1), which));
  return all.move();
}

const IPTABLES = ["iptables", "--wait"];

/** The rules, without their chain, that lose what comes from a host. */
function rulesOf(from: LabHost, { port, probability }: PacketLoss): readonly (readonly string[])[] {
  const chance = probability === undefined
    ? []
    : ["-m", "statistic", "--mode", "random", "--probability", `${probability}`];
  const kinds = port === undefined
    ? [[]]
    : ["tcp", "udp"].map((protocol) => ["-p", protocol, "-m", "multiport", "--ports", `${port}`]);
  return kinds.map((kind) => ["-s", from.address, ...kind, ...chance, "-j", "DROP"]);
}

/** A host that crashed meanwhile has no rules any more. */
async function remove(host: LabHost, rule: readonly string[]): Promise<void> {
  if (!await host.isUp()) return;
  const isThere = await host.run([...IPTABLES, "--check", "INPUT", ...rule]);
  if (isThere.code === 0) await host.exec([...IPTABLES, "--delete", "INPUT", ...rule]);
}
