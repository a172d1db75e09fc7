import assert from "node:assert/strict";
import type { Cluster } from "../../../lib/cluster/cluster.ts";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { openCluster } from "../../../lib/daemon/cluster.ts";
import { type Config, SETTING_NAMES, SETTINGS } from "../../../lib/daemon/settings.ts";
import { StartFailure } from "../../../lib/daemon/start_failure.ts";
import { Transport } from "../../../lib/api/transport.ts";
import { HostState } from "../../../lib/model/enums.ts";
import { systemClock } from "../../../lib/model/clock.ts";
import { Health } from "../../../lib/model/health.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { eventually } from "../../support/monitored_host.ts";
import { SerfProcess } from "../../support/serf_process.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const DEFAULTS = Object.fromEntries(SETTING_NAMES.map((name) => [name, SETTINGS[name].default])) as Config;

async function open(
  held: AsyncDisposableStack,
  directory: string,
  host: number,
  config: Partial<Config>,
  health = new Health(),
): Promise<Cluster> {
  return await openCluster(held, {
    config: { ...DEFAULTS, ...config },
    inventory: new Inventory(),
    hostUuid: numberedUuid(host),
    directory,
    clock: systemClock,
    log: silentLogger,
    health,
    transport: held.use(new Transport()),
    signal: AbortSignal.timeout(20_000),
  });
}

function rpcOf(agent: SerfProcess): Config["serfRpc"] {
  return { hostname: agent.ip, port: 7373 };
}

function refused(message: RegExp, hint: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StartFailure);
    assert.equal(error.kind, "unavailable");
    assert.match(error.message, message);
    assert.match(error.hint, hint);
    return true;
  };
}

Deno.test("without an agent the start fails with what to do; a host on its own needs none", async () => {
  await using dir = await TempDir.create();
  await using held = new AsyncDisposableStack();
  const nowhere = { serfRpc: { hostname: "127.0.0.1", port: 1 } };
  await assert.rejects(open(held, dir.path, 1, nowhere), refused(/127\.0\.0\.1:1/, /--serf-rpc none/));
  const alone = await open(held, dir.path, 1, { serfRpc: null });
  await alone.start();
  assert.ok(alone.caughtUp);
});

Deno.test("the agent's key is read from its file, and a wrong file is told", async () => {
  await using dir = await TempDir.create();
  await using agent = await SerfProcess.start({ name: "one", authKey: "secret" });
  await using held = new AsyncDisposableStack();
  const serfKeyFile = dir.at("key");
  const config = { serfRpc: rpcOf(agent), serfKeyFile };
  await assert.rejects(
    open(held, dir.path, 1, config),
    refused(/Cannot read the Serf agent's key/, /rpc_addr/),
  );
  await Deno.writeTextFile(serfKeyFile, "secret\n");
  const cluster = await open(held, dir.path, 1, config);
  await cluster.start();
  assert.equal(cluster.member(numberedUuid(1))?.cstate, HostState.active);
});

Deno.test("a host that others cannot reach says so where its health is asked for, until it is given an address", async () => {
  await using dir = await TempDir.create();
  await using agent = await SerfProcess.start({ name: "one" });
  const cases: [Config["listen"], RegExp | undefined][] = [
    [[], /cannot reach this one: it listens on its socket only/],
    [[{ hostname: "127.0.0.1", port: 8080 }], /it listens on loopback only/],
    [[{ hostname: "127.0.0.1", port: 8080 }, { hostname: "192.0.2.1", port: 8080 }], undefined],
  ];
  for (const [listen, reason] of cases) {
    await using held = new AsyncDisposableStack();
    const health = new Health();
    await open(held, dir.path, 1, { serfRpc: rpcOf(agent), listen }, health);
    const [condition] = health.conditions;
    assert.equal(condition === undefined, reason === undefined);
    if (reason) assert.match(condition?.reason ?? "", reason);
    assert.ok(!condition?.blocking);
  }
  await using held = new AsyncDisposableStack();
  const alone = new Health();
  await open(held, dir.path, 1, { serfRpc: null }, alone);
  assert.deepEqual(alone.conditions, []);
});

Deno.test("a second host with the same UUID does not start", async () => {
  await using dir = await TempDir.create();
  await using first = await SerfProcess.start({ name: "first" });
  await using second = await SerfProcess.start({ name: "second", join: first });
  await using held = new AsyncDisposableStack();
  const cluster = await open(held, dir.path, 1, { serfRpc: rpcOf(first) });
  await cluster.start();
  const clone = { serfRpc: rpcOf(second) };
  // Tags take Serf a moment to spread.
  let failure: unknown;
  const attempt = async () => {
    await using attempted = new AsyncDisposableStack();
    await open(attempted, dir.path, 1, clone).catch((error) => failure = error);
  };
  const deadline = performance.now() + 10_000;
  while (failure === undefined && performance.now() < deadline) await attempt();
  assert.ok(refused(/is that of "first"/, /cloned/)(failure));
  const other = await open(held, dir.path, 2, clone);
  await other.start();
  await eventually("the hosts to know each other", () => {
    return cluster.member(numberedUuid(2)) !== undefined && other.member(numberedUuid(1)) !== undefined;
  });
});
