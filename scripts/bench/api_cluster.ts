import { HttpPeers } from "../../lib/api/http_peers.ts";
import { Listeners } from "../../lib/api/listen.ts";
import { Transport } from "../../lib/api/transport.ts";
import type { OriginState } from "../../lib/cluster/exchange.ts";
import { ApiCluster, type ApiHost } from "../../tests/support/api_cluster.ts";
import { apiFixture } from "../../tests/support/api_fixture.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../tests/support/vm_info.ts";
import { SMALL_VMDEF } from "../../tests/support/vmdef_examples.ts";
import type { Bench, BenchRow } from "./row.ts";
import { percentile, StallWatch } from "./support/stall.ts";

const HOSTS = 1_000;
const VMS_PER_HOST = 100;
const REQUESTS = 2_000;

/** What one host costs another: requests that are passed on, and a whole cluster's state for one that joins. */
const bench: Bench = async () => [...await passing(), ...await joining()];
export default bench;

/** A read that another host answers, compared to the same read on that host. */
async function passing(): Promise<BenchRow[]> {
  await using cluster = await ApiCluster.start(2);
  const [near, far] = [cluster.host(0), cluster.host(1)];
  const created = await near.send("POST", "/vms", { vmdef: SMALL_VMDEF, host: far.uuid });
  const path = `/vms/${await created.json()}`;
  cluster.gossip();
  const direct: number[] = [];
  const passed: number[] = [];
  for (let count = 0; count < REQUESTS; count++) {
    direct.push(await timed(far, path));
    passed.push(await timed(near, path));
  }
  const value = percentile(passed, 0.5);
  const comparedValue = percentile(direct, 0.5);
  const comparedTo = "the same, asked of the VM's host";
  return [{
    name: "GET of a VM that another host has, median",
    value,
    unit: "ms",
    comparedTo,
    comparedValue,
    ratio: value / comparedValue,
  }];
}

async function timed(host: ApiHost, path: string): Promise<number> {
  const start = performance.now();
  const response = await host.send("GET", path);
  await response.arrayBuffer();
  return performance.now() - start;
}

/** All states of a large cluster over HTTP; both sides share this process and its one thread. */
async function joining(): Promise<BenchRow[]> {
  const states = Array.from({ length: HOSTS }, (_, at) => originState(numberedUuid(1_000_000 + at)));
  const byUuid = new Map(states.map((state) => [state.uuid, state]));
  using transport = new Transport();
  const cluster = {
    member: () => undefined,
    catchUp: () => Promise.resolve(),
    vector: () => undefined,
    states: (wants: readonly { readonly uuid: string }[]) =>
      wants.flatMap(({ uuid }) => byUuid.get(uuid) ?? []),
    staleSince: undefined,
    misunderstood: () => {},
    unsure: undefined,
  };
  const { app } = apiFixture({ cluster, transport });
  await using listeners = await Listeners.open(app, [{ hostname: "127.0.0.1", port: 0 }]);
  const port = Number(new URL(listeners.addresses[0] ?? "").port);
  const peer = { uuid: numberedUuid(1), name: "virt1", address: "127.0.0.1", port, prototype: false };
  const wants = states.map(({ uuid }) => ({ uuid, since: undefined }));
  using watch = new StallWatch();
  watch.takeLongest();
  const start = performance.now();
  const received = await new HttpPeers(transport).states(peer, wants, new AbortController().signal);
  const ms = performance.now() - start;
  if (received.length !== HOSTS) throw new Error(`Only ${received.length} of ${HOSTS} states arrived`);
  const { ownMs } = watch.takeLongest();
  const what = `${HOSTS} × ${VMS_PER_HOST} VMs from one peer`;
  return [
    { name: `Pulling ${what}`, value: ms, unit: "ms" },
    {
      name: `Pulling ${what}, longest stall of the main thread`,
      value: ownMs,
      unit: "ms",
      target: "≤ 20 ms",
      ok: ownMs <= 20,
    },
  ];
}

function originState(uuid: string): OriginState {
  const vms = Array.from({ length: VMS_PER_HOST }, (_, at) =>
    vmInfo({
      uuid: crypto.randomUUID(),
      name: `web${at}`,
      host: uuid,
      custom: [{ name: "owner", value: "web team" }],
    }));
  const stamp = { epoch: 1, seq: 1, digest: "0".repeat(16) };
  return { uuid, ...stamp, host: hostEntry({ uuid }), base: undefined, vms, gone: [] };
}
