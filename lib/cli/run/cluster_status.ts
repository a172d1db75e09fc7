import { HostState, Runstate } from "../../model/enums.ts";
import { VirtxError } from "../../model/error.ts";
import { listed } from "../changes/listed.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Style } from "../output/colours.ts";
import { amount, counted } from "../output/human.ts";
import { plain } from "../output/plain.ts";
import { renderSheet, type SheetLine } from "../output/sheet.ts";
import type { Cluster } from "../server/cluster.ts";
import { differentStorage } from "../server/comparison.ts";
import type { HostItem } from "../server/hosts.ts";
import type { VmItem } from "../server/vms.ts";
import { reasonsOf } from "../views/conditions.ts";
import {
  GONE_WORD,
  hostStateStyle,
  hostStateWord,
  isInOrder,
  runstateStyle,
  runstateWord,
} from "../views/words.ts";

/** How many operations are looked at for those that run. */
const OPERATIONS = "1000";

/** What the server finds amiss with other hosts, of which the list of hosts tells as well. */
const TOLD_ABOVE = /^host \S+ is not in order: /;

/** `cluster status`. */
export async function run(context: Context): Promise<ExitCode> {
  const cluster = await context.cluster();
  const [hosts, vms, operations, faults] = await Promise.all([
    cluster.hosts(),
    cluster.vms(),
    cluster.operations({ state: "running", limit: OPERATIONS }),
    cluster.faults(),
  ]);
  const active = hosts.filter(({ cstate }) => cstate === HostState.active);
  const [first] = active;
  const storage = first && await storageLeft(cluster, first.uuid);
  const gone = hosts.filter((host) => host.gone);
  const differing = differentStorage(hosts);
  const heedless = active.filter(({ runs }) => runs !== "");
  const disordered = hosts.filter((host) => !isInOrder(host));
  const amiss = faults.filter((fault) => !TOLD_ABOVE.test(fault));
  const hostCounts = counts(hosts, ({ cstate }) => cstate);
  const vmCounts = counts(vms, ({ runstate }) => runstate);
  const status = {
    server: cluster.server.endpoint,
    hosts: hosts.length,
    gone: gone.map(({ name }) => name),
    hoststates: named(hostCounts, hostStateWord),
    vms: vms.length,
    vmstates: named(vmCounts, runstateWord),
    notinorder: Object.fromEntries(disordered.map((host) => [host.name, reasonOf(host)])),
    memoryavailable: sum(active, ({ memoryAvailable }) => memoryAvailable),
    hpavailable: sum(active, ({ hpAvailable }) => hpAvailable),
    storageavailable: storage ?? null,
    operations: operations.items.length,
    silent: operations.missing.map(({ name }) => name),
    heedless: Object.fromEntries(heedless.map(({ name, runs }) => [name, runs])),
    faults,
    differentstorage: Object.fromEntries(differing.map((host) => [host.name, host.storage])),
  };
  const lines: readonly SheetLine[] = [
    ["Answered by", status.server],
    ["Hosts", summary(hosts.length, hostCounts, hostStateWord), worst(hosts)],
    ...gone.length > 0
      ? [
        [
          "Gone",
          `${listed(gone)}; virtx host remove forgets one that will not come back`,
          "red",
        ] as const,
      ]
      : [],
    ...disordered.filter((host) => !host.gone).map((host) =>
      ["Not in order", `${host.name}: ${reasonOf(host)}`, "red"] as const
    ),
    ["VMs", summary(vms.length, vmCounts, runstateWord), worstVm(vms)],
    ["Memory left", `${amount(status.memoryavailable)} on ${counted(active.length, "active host")}`],
    ...status.hpavailable > 0 ? [["Hugepages left", amount(status.hpavailable)] as const] : [],
    ...storage !== undefined ? [["Storage left", amount(storage)] as const] : [],
    ...differing.length > 0
      ? [["Not shared", `/vms is not the same on ${storagesOf(differing)}`, "red"] as const]
      : [],
    ...heedless.length > 0 ? [["Not heeded", unheeded(heedless), "yellow"] as const] : [],
    ...amiss.map((fault) => ["Amiss", plain(fault), "red"] as const),
    ["Under way", counted(status.operations, "operation")],
    ...status.silent.length > 0 ? [["No answer from", status.silent.join(", "), "yellow"] as const] : [],
  ];
  await context.printer.one(
    { name: () => status.server, record: () => status },
    status,
    () => renderSheet([{ lines }], context.out.colours),
  );
  const isBad = disordered.length + differing.length + amiss.length + status.silent.length > 0;
  return isBad ? ExitCode.refused : ExitCode.ok;
}

/** Why a host is not in order; hosts of earlier versions tell its state alone. */
function reasonOf({ cstate, conditions, gone }: HostItem): string {
  if (gone) return GONE_WORD;
  return conditions.length > 0 ? reasonsOf(conditions) : hostStateWord(cstate);
}

/** What does not hold as long as these hosts are there. */
function unheeded(hosts: readonly HostItem[]): string {
  const names = hosts.map(({ name, runs }) =>
    `${name} (${runs === "prototype" ? "prototype" : "earlier version"})`
  );
  return `by ${names.join(", ")}: the records of who has a VM or a disk, and the trash. ` +
    "Two hosts may take one disk into use, and what is deleted there is gone at once";
}

/** "virt1 (0b8b3f3a), virt2 (5c1d7e20)". */
function storagesOf(hosts: readonly HostItem[]): string {
  return hosts.map(({ name, storage }) => `${name} (${storage.slice(0, 8)})`).join(", ");
}

/** Room on the shared storage, MiB, as any host tells it; undefined: it is not known. */
async function storageLeft(cluster: Cluster, host: string): Promise<number | undefined> {
  try {
    return (await cluster.host(host)).storageAvailable;
  } catch (error) {
    if (error instanceof VirtxError && error.kind !== "internal") return undefined; // the rest is worth showing
    throw error;
  }
}

function counts<T, K>(all: readonly T[], key: (item: T) => K): ReadonlyMap<K, number> {
  const found = new Map<K, number>();
  for (const item of all) found.set(key(item), (found.get(key(item)) ?? 0) + 1);
  return found;
}

function named<K>(found: ReadonlyMap<K, number>, word: (key: K) => string): Record<string, number> {
  return Object.fromEntries([...found].map(([key, count]) => [word(key), count]));
}

/** "3: 2 active, 1 failed". */
function summary<K>(total: number, found: ReadonlyMap<K, number>, word: (key: K) => string): string {
  const parts = [...found].sort(([, a], [, b]) => b - a).map(([key, count]) => `${count} ${word(key)}`);
  return total === 0 ? "none" : parts.length === 1 ? parts.join("") : `${total}: ${parts.join(", ")}`;
}

function sum<T>(all: readonly T[], of: (item: T) => number): number {
  return all.reduce((total, item) => total + of(item), 0);
}

function worst(hosts: readonly HostItem[]): Style | undefined {
  const [first] = hosts.filter((host) => !isInOrder(host)).sort((a, b) => b.cstate - a.cstate);
  return hostStateStyle(first ?? { cstate: HostState.active, conditions: [] });
}

function worstVm(vms: readonly VmItem[]): Style | undefined {
  const bad = vms.find(({ runstate }) => runstate === Runstate.none || runstate === Runstate.crashed);
  return bad === undefined ? undefined : runstateStyle(bad.runstate);
}
