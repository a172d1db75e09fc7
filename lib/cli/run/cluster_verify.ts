import { errorMessage, VirtxError } from "../../model/error.ts";
import { delay } from "../../model/delay.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { counted } from "../output/human.ts";
import { plain } from "../output/plain.ts";
import type { View } from "../output/printer.ts";
import { Cluster } from "../server/cluster.ts";
import { type Account, type Disagreement, disagreements } from "../server/comparison.ts";
import { parseEndpoints } from "../server/endpoint.ts";
import { Server } from "../server/server.ts";

/** What differs is looked at again after this long, as many times: news takes its time to reach every host. */
const AGAIN_MS = 3_000;
const TIMES = 3;
/** How long one host may take. */
const ANSWER_MS = 10_000;

/** `cluster verify`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const addresses = await addressesOf(cluster, input.string("addresses"));
  using clients = new DisposableStack();
  const asked = addresses.map((address) => {
    const server = clients.use(
      new Server({ endpoints: [address], signal: context.signal, timeoutMs: ANSWER_MS, headers: {} }),
    );
    return { address, cluster: new Cluster(server) };
  });
  let found = await compare(asked);
  for (let n = 1; n < TIMES && found.differences.length > 0; n++) {
    await delay(AGAIN_MS, context.signal);
    const again = await compare(asked);
    // Only what stays is a disagreement; what was on its way has arrived by now, or is another thing.
    const before = new Set(found.differences.map(keyOf));
    found = { ...again, differences: again.differences.filter((one) => before.has(keyOf(one))) };
  }
  const { err, options, printer } = context;
  for (const { address, reason } of found.silent) err.line(`${address} cannot be asked: ${plain(reason)}`);
  for (const { address, fault } of found.faults) err.line(`${address} says: ${plain(fault)}`);
  const gone = goneHosts(found.accounts);
  for (const name of gone) {
    err.line(
      `host ${plain(name)} is gone: Serf does not know it any more; virtx host remove ${
        plain(name)
      } if it will not come back`,
    );
  }
  const isTable = options.format.kind === "table" || options.format.kind === "wide";
  if (found.differences.length > 0 || !isTable) await printer.list(DIFFERENCE_VIEW, found.differences);
  else if (found.accounts.length > 0 && found.faults.length === 0 && gone.length === 0 && !options.quiet) {
    context.out.line(agreement(found.accounts));
  }
  return found.differences.length + found.silent.length + found.faults.length + gone.length > 0
    ? ExitCode.refused
    : ExitCode.ok;
}

interface Asked {
  readonly address: string;
  readonly cluster: Cluster;
}

interface Comparison {
  readonly accounts: readonly Account[];
  readonly silent: readonly { readonly address: string; readonly reason: string }[];
  /** What hosts say is wrong with them, such as a VM that another host has defined, too. */
  readonly faults: readonly { readonly address: string; readonly fault: string }[];
  readonly differences: readonly Disagreement[];
}

async function compare(asked: readonly Asked[]): Promise<Comparison> {
  const silent: { address: string; reason: string }[] = [];
  const accounts: Account[] = [];
  const faults: { address: string; fault: string }[] = [];
  await Promise.all(asked.map(async ({ address, cluster }) => {
    try {
      const [hosts, vms, told] = await Promise.all([cluster.hosts(), cluster.vms(), cluster.faults()]);
      accounts.push({ address, hosts, vms });
      faults.push(...told.map((fault) => ({ address, fault })));
    } catch (error) {
      silent.push({ address, reason: errorMessage(error) });
    }
  }));
  accounts.sort((a, b) => a.address < b.address ? -1 : 1);
  faults.sort((a, b) => a.address < b.address ? -1 : 1);
  return { accounts, silent, faults, differences: disagreements(accounts) };
}

/** Where each active host can be asked. */
async function addressesOf(cluster: Cluster, given: string | undefined): Promise<readonly string[]> {
  if (given !== undefined) return parseEndpoints(given);
  const active = await cluster.hosts({ cstate: "active" });
  if (active.length === 0) {
    throw new VirtxError("unavailable", `No host is active, so there is none to ask`);
  }
  // The one that has answered; where a host is alone it may listen at nothing but its socket.
  if (active.length === 1) return [cluster.server.endpoint];
  return active.flatMap(({ name, api }) => parseEndpoints(api || name));
}

/** The names of the hosts that any account has as gone. */
function goneHosts(accounts: readonly Account[]): readonly string[] {
  const gone = accounts.flatMap(({ hosts }) => hosts.filter((host) => host.gone));
  return [...new Map(gone.map(({ uuid, name }) => [uuid, name])).values()].sort();
}

function keyOf({ what, uuid, field }: Disagreement): string {
  return `${what} ${uuid} ${field}`;
}

function agreement(accounts: readonly Account[]): string {
  const [first] = accounts;
  const count = `${counted(first?.hosts.length ?? 0, "host")} and ${counted(first?.vms.length ?? 0, "VM")}`;
  return accounts.length === 1
    ? `Only one host was asked; it knows ${count}.`
    : `${accounts.length} hosts agree upon ${count}.`;
}

const DIFFERENCE_VIEW: View<Disagreement> = {
  name: ({ uuid }) => uuid,
  columns: [
    { heading: "ABOUT", text: ({ what, name }) => `${what} ${name}` },
    { heading: "FIELD", text: ({ field }) => field },
    {
      heading: "SAID",
      text: ({ said }) => said.map(({ address, value }) => `${address}: ${value}`).join("; "),
      least: 20,
      wraps: true,
    },
  ],
  record: (disagreement) => ({ ...disagreement }),
};
