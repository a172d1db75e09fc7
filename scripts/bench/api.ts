import { Hono } from "hono";
import { createApp } from "../../lib/api/app.ts";
import { Inventory } from "../../lib/cluster/inventory.ts";
import { silentLogger } from "../../lib/model/log.ts";
import { MemoryVms } from "../../tests/support/memory_vms.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../tests/support/vm_info.ts";
import type { Bench, BenchRow } from "./row.ts";
import { percentile } from "./support/stall.ts";

const HOST = numberedUuid(1_000_000);
const VMS = 10_000;
/** The two sides take turns, so that what else the machine does meets both. */
const ROUNDS = 3;
const ROUND_MS = 1_000;

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
  readonly row: (
    rate: number,
    comparedRate: number,
  ) => Pick<BenchRow, "value" | "unit" | "comparedValue" | "ratio" | "target" | "ok">;
}

/** The API under load from another process on loopback, compared to the least that Hono and Deno.serve could do. */
const bench: Bench = async () => {
  const inventory = new Inventory();
  inventory.putHost(hostEntry({ uuid: HOST }));
  for (let at = 0; at < VMS; at++) inventory.putVm(sampleVm(at, 1));
  const app = createApp({
    vms: new MemoryVms(inventory, HOST),
    inventory,
    hostUuid: HOST,
    stale: () => undefined,
    readiness: () => ({ ready: true, reasons: [] }),
    log: silentLogger,
    logLevel: { get: () => "info", set() {} },
    version: "bench",
    clock: Date.now,
  });
  const list = new Uint8Array(await (await app.fetch(new Request("http://localhost/vms"))).arrayBuffer());
  const hello = new Hono().get("/hello", (c) => c.text("hello")).get("/constant", (c) => c.body(list));

  let before: (() => void) | undefined;
  const connection = { loopback: true, client: () => "127.0.0.1" };
  await using api = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    before?.();
    return app.fetch(request, connection);
  });
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
    connections: 8,
    depth: 4,
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
    const rates: number[] = [];
    const comparedRates: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      before = undefined;
      comparedRates.push(await measure(bare.addr.port, comparedPath, connections, depth));
      before = contest.before;
      rates.push(await measure(api.addr.port, path, connections, depth));
    }
    before = undefined;
    rows.push({ name, comparedTo, ...contest.row(median(rates), median(comparedRates)) });
  }
  return rows;
};
export default bench;

function sampleVm(at: number, ts: number) {
  const custom = [{ name: "owner", value: `team ${at % 7}` }];
  return vmInfo({ uuid: numberedUuid(at), name: `web${at}`, host: HOST, vlanid: at % 100, custom, ts });
}

/** Requests per second, from a process of its own. */
async function measure(port: number, path: string, connections: number, depth: number): Promise<number> {
  const script = new URL("support/http_load.ts", import.meta.url).pathname;
  const args = ["run", "--quiet", "--allow-net=127.0.0.1,localhost,0.0.0.0", script];
  const numbers = [connections, depth, ROUND_MS].map(String);
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...args, String(port), path, ...numbers],
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`The load on ${path} failed`);
  return Number(new TextDecoder().decode(stdout));
}

function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

function atLeast(least: number): Contest["row"] {
  return (value, comparedValue) => {
    const ratio = value / comparedValue;
    return { value, unit: "requests/s", comparedValue, ratio, target: `≥ ${least} ×`, ok: ratio >= least };
  };
}

function atMost(most: number): Contest["row"] {
  return (rate, comparedRate) => {
    const row = inMs(rate, comparedRate);
    return { ...row, target: `≤ ${most} ×`, ok: row.ratio <= most };
  };
}

function inMs(rate: number, comparedRate: number) {
  return {
    value: 1000 / rate,
    unit: "ms/request",
    comparedValue: 1000 / comparedRate,
    ratio: comparedRate / rate,
  };
}
