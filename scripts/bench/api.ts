import { fileURLToPath } from "node:url";
import { cpuUsage } from "node:process";
import { Hono } from "hono";
import { type Api, createApp } from "../../lib/api/app.ts";
import { Listeners } from "../../lib/api/listen.ts";
import { Inventory } from "../../lib/cluster/inventory.ts";
import { silentLogger } from "../../lib/model/log.ts";
import { Operations } from "../../lib/vm/operations.ts";
import { MemoryVms } from "../../tests/support/memory_vms.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../tests/support/vm_info.ts";
import type { Bench, BenchRow } from "./row.ts";
import { percentile } from "./support/stall.ts";

const HOST = numberedUuid(1_000_000);
const VMS = 10_000;
/** The two sides take turns, so that what else the machine does meets both. */
const ROUNDS = 9;
const ROUND_MS = 400;

/** Of one round, in requests for each second of CPU. */
interface Rates {
  readonly rate: number;
  readonly compared: number;
}

/** What is measured against what: both are served by one process, in turns. */
interface Contest {
  readonly name: string;
  readonly comparedTo: string;
  readonly path: string;
  readonly comparedPath: string;
  readonly connections: number;
  readonly depth: number;
  /** Called before each request of the measured path. */
  readonly before?: () => void;
  readonly row: (rates: Rates) => Omit<BenchRow, "name" | "comparedTo">;
}

/** The API under load from another process on loopback, compared to the least that Hono and Deno.serve could do. */
const bench: Bench = async () => {
  const inventory = new Inventory();
  inventory.putHost(hostEntry({ uuid: HOST }));
  for (let at = 0; at < VMS; at++) inventory.putVm(sampleVm(at, 1));
  const app = createApp({
    vms: new MemoryVms(inventory, HOST),
    operations: new Operations({ host: HOST, clock: Date.now, log: silentLogger }),
    inventory,
    hostUuid: HOST,
    stale: () => undefined,
    readiness: () => ({ ready: true, reasons: [], degraded: [] }),
    log: silentLogger,
    logLevel: { get: () => "info", set() {} },
    version: "bench",
    clock: Date.now,
  });
  const list = new Uint8Array(await (await app.fetch(new Request("http://localhost/vms"))).arrayBuffer());
  const hello = new Hono().get("/hello", (c) => c.text("hello")).get("/constant", (c) => c.body(list));

  let before: (() => void) | undefined;
  const measured: Api = {
    ...app,
    fetch(request, connection) {
      before?.();
      return app.fetch(request, connection);
    },
  };
  await using api = await Listeners.open(measured, [{ hostname: "127.0.0.1", port: 0 }]);
  const port = Number(new URL(api.addresses[0] ?? "").port);
  await using bare = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => hello.fetch(request),
  );

  let changes = 0;
  const contests: Contest[] = [{
    name: "GET runstate",
    comparedTo: "bare Hono hello",
    path: `/vms/${numberedUuid(4711)}/runstate`,
    comparedPath: "/hello",
    connections: 16,
    depth: 1,
    row: atLeast(0.8),
  }, {
    name: `GET /vms of ${VMS} VMs`,
    comparedTo: "the same bytes from a constant",
    path: "/vms",
    comparedPath: "/constant",
    connections: 2,
    depth: 1,
    row: atMost(1.5),
  }, {
    name: `GET /vms of ${VMS} VMs, one changed before each request`,
    comparedTo: "the same bytes from a constant",
    path: "/vms",
    comparedPath: "/constant",
    connections: 2,
    depth: 1,
    before: () => inventory.putVm(sampleVm(changes++ % VMS, 2 + changes % 8)),
    row: inMs,
  }];

  const rows: BenchRow[] = [];
  for (const contest of contests) {
    const { name, comparedTo, path, comparedPath, connections, depth } = contest;
    const rounds: Rates[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      before = undefined;
      const compared = await measure(bare.addr.port, comparedPath, connections, depth);
      before = contest.before;
      rounds.push({ rate: await measure(port, path, connections, depth), compared });
    }
    before = undefined;
    rows.push({ name, comparedTo, ...contest.row(medianRound(rounds)) });
  }
  return rows;
};
export default bench;

function sampleVm(at: number, ts: number) {
  const custom = [{ name: "owner", value: `team ${at % 7}` }];
  return vmInfo({ uuid: numberedUuid(at), name: `web${at}`, host: HOST, vlanid: at % 100, custom, ts });
}

/**
 * Requests for each second of this process' CPU, sent by a process of its own: what one core can serve, whatever else the
 * machine does meanwhile.
 */
async function measure(port: number, path: string, connections: number, depth: number): Promise<number> {
  const script = fileURLToPath(new URL("support/http_load.ts", import.meta.url));
  const args = ["run", "--quiet", "--allow-net", script, String(port), path];
  const numbers = [connections, depth, ROUND_MS].map(String);
  const before = cpuUsage();
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...args, ...numbers],
    stderr: "inherit",
  }).output();
  const { user, system } = cpuUsage(before);
  if (!success) throw new Error(`The load on ${path} failed`);
  return Number(new TextDecoder().decode(stdout)) / ((user + system) / 1e6);
}

/** The round in which the two sides compare as they mostly do. */
function medianRound(rounds: readonly Rates[]): Rates {
  const middle = percentile(rounds.map(({ rate, compared }) => rate / compared), 0.5);
  const round = rounds.find(({ rate, compared }) => rate / compared === middle);
  if (round === undefined) throw new RangeError("no rounds, no median");
  return round;
}

function atLeast(least: number): Contest["row"] {
  return ({ rate: value, compared: comparedValue }) => {
    const ratio = value / comparedValue;
    return {
      value,
      unit: "requests/CPU s",
      comparedValue,
      ratio,
      target: `≥ ${least} ×`,
      ok: ratio >= least,
    };
  };
}

function atMost(most: number): Contest["row"] {
  return (rates) => {
    const { ratio, ...row } = inMs(rates);
    return { ...row, ratio, target: `≤ ${most} ×`, ok: ratio <= most };
  };
}

function inMs({ rate, compared }: Rates) {
  return {
    value: 1000 / rate,
    unit: "CPU ms/request",
    comparedValue: 1000 / compared,
    ratio: compared / rate,
  };
}
