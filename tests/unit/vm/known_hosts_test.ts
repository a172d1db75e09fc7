import assert from "node:assert/strict";
import type { HostMember } from "../../../lib/cluster/members.ts";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { hostRecords } from "../../../lib/registry/host_record.ts";
import { Registry } from "../../../lib/registry/registry.ts";
import { KnownHosts } from "../../../lib/vm/known_hosts.ts";
import { SharedStorage } from "../../support/shared_storage.ts";
import { testDomainXml } from "../../support/test_driver.ts";
import { VirtualTime } from "../../support/virtual_time.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const [ONE, TWO, OTHER] = [numberedUuid(1), numberedUuid(2), numberedUuid(3)];
const [WEB, DB] = [numberedUuid(11), numberedUuid(12)];

/** Some hosts that share a storage; what Serf and gossip would do, the test does. */
class World implements AsyncDisposable {
  readonly time = new VirtualTime();

  private constructor(readonly shared: SharedStorage) {}

  static async create(): Promise<World> {
    return new World(await SharedStorage.create());
  }

  /** A host that has just started, and knows itself. */
  host(self: string, name: string) {
    const { tree } = this.shared;
    const inventory = new Inventory();
    const members = new Map<string, HostMember>();
    const told = new Set<string>();
    const state = {
      joined: true,
      staleSince: undefined as number | undefined,
      refusal: undefined as VirtxError | undefined,
    };
    const records = hostRecords(tree);
    const registry = new Registry({ tree, hostUuid: self });
    inventory.putHost(hostEntry({ uuid: self, def: { ...hostEntry().def, name } }));
    const serf = (uuid: string, name: string, cstate: HostState | undefined) => {
      const peer = { uuid, name, address: "192.0.2.1", port: 8080, prototype: false };
      if (cstate === undefined) {
        members.delete(uuid);
        told.delete(uuid);
      } else members.set(uuid, { peer, cstate });
      if (uuid !== self) inventory.setHostState(uuid, cstate ?? HostState.failed);
    };
    serf(self, name, HostState.active);
    const hosts = new KnownHosts({
      cluster: {
        member: (uuid) => members.get(uuid),
        hosts: () => members.values(),
        hasTold: (uuid) => told.has(uuid),
        dismiss: (uuid) => {
          told.delete(uuid);
          inventory.removeHost(uuid);
        },
        get joined() {
          return state.joined;
        },
        get staleSince() {
          return state.staleSince;
        },
      },
      inventory,
      records,
      registry,
      self,
      refusal: () => Promise.resolve(state.refusal),
      timers: this.time,
      log: silentLogger,
    });
    /** Has it tell what it is and has, as gossip would. */
    const tell = (uuid: string, name: string, vms: readonly string[]) => {
      inventory.putHost(hostEntry({ uuid, def: { ...hostEntry().def, name } }));
      inventory.replaceVmsOf(uuid, vms.map((vm) => vmInfo({ uuid: vm, host: uuid, name: vm })));
      told.add(uuid);
    };
    const look = async () => {
      await hosts.look();
      await this.time.pass(10_000);
    };
    const listed = () =>
      [...inventory.hosts()].filter(({ uuid }) => uuid !== self).map(({ def, cstate }) =>
        `${def.name} ${cstate}`
      );
    const vms = () => [...inventory.vms()].map(({ name, host, runstate }) => ({ name, host, runstate }));
    return { inventory, records, registry, hosts, serf, tell, look, listed, vms, state, told };
  }

  async register(host: string, vm: string, name: string): Promise<void> {
    const xml = testDomainXml({ uuid: vm, name });
    await new Registry({ tree: this.shared.tree, hostUuid: host }).write(vm, xml);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shared[Symbol.asyncDispose]();
  }
}

function isTold(kind: VirtxError["kind"], message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof VirtxError, String(error));
    assert.equal(error.kind, kind, error.message);
    assert.match(error.message, message);
    return true;
  };
}

const GONE = ["virt2 3"];

Deno.test("a host that Serf forgets stays with what it has registered, and who starts afresh learns of both", async () => {
  await using world = await World.create();
  const two = world.host(TWO, "virt2");
  await two.look(); // it records itself
  await world.register(TWO, WEB, "web");
  const one = world.host(ONE, "virt1");
  one.serf(TWO, "virt2", HostState.active);
  one.tell(TWO, "virt2", [WEB]);
  await one.look();
  one.serf(TWO, "virt2", HostState.failed);
  await one.look();
  one.serf(TWO, "virt2", undefined);
  await one.look();
  assert.deepEqual(one.listed(), GONE);
  assert.deepEqual(one.vms(), [{ name: WEB, host: TWO, runstate: Runstate.none }]);
  assert.equal(one.inventory.vm(WEB)?.lastrunstate, Runstate.running);

  const afresh = world.host(OTHER, "virt3");
  await afresh.look();
  assert.deepEqual(afresh.listed().filter((host) => host.startsWith("virt2")), [], "it may be about to join");
  assert.match(afresh.hosts.unsure ?? "", /registered that Serf does not know/);
  await afresh.look();
  assert.equal(afresh.hosts.unsure, undefined);
  assert.ok(afresh.listed().includes("virt2 3"));
  assert.deepEqual(afresh.vms(), [{ name: "web", host: TWO, runstate: Runstate.none }]);
  assert.equal(afresh.hosts.hasAway(WEB), true);
  const { def, runinfo } = await afresh.hosts.getAway(WEB);
  assert.deepEqual([def.name, runinfo], ["web", { runstate: Runstate.none, host: TWO, reason: "host_away" }]);

  afresh.serf(ONE, "virt1", HostState.active);
  await world.register(TWO, DB, "db");
  await new Registry({ tree: world.shared.tree, hostUuid: TWO }).handOver(WEB, ONE);
  await afresh.look();
  assert.deepEqual(afresh.vms(), [{ name: "db", host: TWO, runstate: Runstate.none }]);
});

Deno.test("a host that does not record itself is known by its registry, and recorded by who knew it", async () => {
  await using world = await World.create();
  await world.register(TWO, WEB, "web");
  const stranger = world.host(OTHER, "virt3");
  await stranger.look();
  await stranger.look();
  assert.deepEqual(stranger.listed(), [`${TWO} 3`]);
  const one = world.host(ONE, "virt1");
  one.serf(TWO, "virt2", HostState.active);
  one.tell(TWO, "virt2", [WEB]);
  await one.look();
  one.serf(TWO, "virt2", undefined);
  await one.look();
  assert.equal((await one.records.read(TWO))?.value?.def.name, "virt2");
  const afresh = world.host(OTHER, "virt3");
  await afresh.look();
  await afresh.look();
  assert.ok(afresh.listed().includes("virt2 3"));
});

/** A cluster of two that know a third host with a VM, which is gone. */
async function withGone() {
  const world = await World.create();
  const two = world.host(TWO, "virt2");
  await two.look();
  await world.register(TWO, WEB, "web");
  const [one, other] = [world.host(ONE, "virt1"), world.host(OTHER, "virt3")];
  for (const host of [one, other]) {
    host.serf(ONE, "virt1", HostState.active);
    host.serf(OTHER, "virt3", HostState.active);
    await host.look();
    await host.look();
    assert.deepEqual(host.listed(), GONE);
  }
  return { world, one, two, other };
}

Deno.test("a host that is gone is removed by an administrator, once its VMs are elsewhere or by force, and all forget it", async () => {
  const { world, one, two, other } = await withGone();
  await using _world = world;
  const refused = isTold(
    "conflict",
    /^Cannot remove host "virt2": a VM is registered there: web\. .*vm register .*--force/,
  );
  await assert.rejects(one.hosts.remove(TWO, { force: false }), refused);
  await one.look();
  assert.deepEqual(one.listed(), GONE);
  await Promise.all([one.hosts.remove(TWO, { force: true }), other.hosts.remove(TWO, { force: true })]);
  await one.hosts.remove(TWO, { force: false }); // again is fine
  assert.deepEqual([one.listed(), one.vms()], [[], []]);
  const late = world.host(ONE, "virt1");
  for (const host of [one, other, late]) {
    await host.look();
    await host.look();
    assert.deepEqual([host.listed().filter((name) => name.startsWith("virt2")), host.vms()], [[], []]);
  }
  assert.deepEqual(await two.registry.list(), [WEB], "its files stay");
  await two.registry.remove(WEB);
  await Deno.mkdir(world.shared.at(`/vms/xml/${TWO}/.journal`));
  await one.hosts.remove(TWO, { force: false });
  assert.deepEqual(await one.registry.hosts(), [], "but no empty directory");
  await world.register(TWO, WEB, "web");

  // It comes back.
  await two.look();
  one.serf(TWO, "virt2", HostState.active);
  one.tell(TWO, "virt2", [WEB]);
  await one.look();
  one.serf(TWO, "virt2", undefined);
  await one.look();
  assert.deepEqual(one.listed(), GONE);
});

Deno.test("VMs that an active host has are no reason to keep a host", async () => {
  const { world, one } = await withGone();
  await using _world = world;
  one.tell(OTHER, "virt3", [WEB]);
  await one.hosts.remove(TWO, { force: false });
  assert.deepEqual(one.vms().map(({ host }) => host), [OTHER]);
});

Deno.test("a host that is removed while Serf knows it as failed is forgotten by all, also by who looks first after that", async () => {
  await using world = await World.create();
  const two = world.host(TWO, "virt2");
  await two.look();
  const [one, other] = [world.host(ONE, "virt1"), world.host(OTHER, "virt3")];
  for (const host of [one, other]) {
    host.serf(TWO, "virt2", HostState.active);
    host.tell(TWO, "virt2", []);
    await host.look();
    host.serf(TWO, "virt2", HostState.failed);
  }
  await one.hosts.remove(TWO, { force: false });
  await other.look();
  assert.deepEqual(other.listed().filter((name) => name.startsWith("virt2")), []);
});

Deno.test("a host that is active is not removed, nor one of which that cannot be told, nor one that never was", async () => {
  const { world, one } = await withGone();
  await using _world = world;
  const active = isTold("conflict", /it is active/);
  await assert.rejects(one.hosts.remove(ONE, { force: true }), active);
  await assert.rejects(one.hosts.remove(OTHER, { force: true }), active);
  await assert.rejects(
    one.hosts.remove(numberedUuid(99), { force: true }),
    isTold("not_found", /no such host/),
  );
  one.state.staleSince = 1;
  await assert.rejects(one.hosts.remove(TWO, { force: true }), isTold("unavailable", /Serf/));
  one.state.staleSince = undefined;
  one.state.refusal = new VirtxError("unavailable", "storage /vms is away");
  await assert.rejects(one.hosts.remove(TWO, { force: true }), isTold("unavailable", /\/vms is away/));
  await one.look();
  assert.deepEqual(one.listed(), GONE);
});

Deno.test("a host that comes back while it is removed records itself again", async () => {
  const { world, one, two } = await withGone();
  await using _world = world;
  await two.look();
  await one.hosts.remove(TWO, { force: true });
  await two.look();
  assert.equal((await two.records.read(TWO))?.value?.def.name, "virt2");
});

Deno.test("one that does not record itself, is removed and is there again is gone again later, and not removed", async () => {
  await using world = await World.create();
  const one = world.host(ONE, "virt1");
  one.serf(TWO, "virt2", HostState.failed);
  one.tell(TWO, "virt2", []);
  await one.look();
  await one.hosts.remove(TWO, { force: false });
  const { generation } = await one.records.read(TWO) ?? {};
  const then = new Date(Date.now() - 60_000);
  await Deno.utime(`${world.shared.root}/.virtxd/hosts/${TWO}/${generation}.json`, then, then);
  one.serf(TWO, "virt2", HostState.active);
  one.tell(TWO, "virt2", []);
  await one.look();
  one.serf(TWO, "virt2", HostState.failed);
  await one.look();
  assert.deepEqual(one.listed(), GONE);
  assert.equal((await one.records.read(TWO))?.value?.def.name, "virt2");
});

Deno.test("what lies about on the storage is neither believed nor in the way", async () => {
  const { world, one } = await withGone();
  await using _world = world;
  const { root } = world.shared;
  await Deno.mkdir(`${root}/xml/lost+found`);
  await Deno.mkdir(`${root}/.virtxd/hosts/not-a-host`);
  await Deno.mkdir(`${root}/.virtxd/hosts/${numberedUuid(50)}`);
  await Deno.writeTextFile(`${root}/.virtxd/hosts/${numberedUuid(50)}/1.json`, "garbage");
  await Deno.writeTextFile(`${root}/xml/${TWO}/${DB}.xml`, testDomainXml({ uuid: WEB, name: "stolen" }));
  await Deno.writeFile(`${root}/xml/${TWO}/${numberedUuid(13)}.xml`, new Uint8Array([0xff, 0xfe]));
  await one.look();
  await one.look();
  assert.deepEqual(one.listed().toSorted(), [`${numberedUuid(50)} 3`, "virt2 3"]);
  assert.deepEqual(one.vms().map(({ name }) => name).toSorted(), [DB, numberedUuid(13), "web"]);
});

Deno.test("while the storage or Serf is away nothing is concluded", async () => {
  const { world, one } = await withGone();
  await using _world = world;
  await one.hosts.remove(TWO, { force: true });
  const late = world.host(OTHER, "virt3");
  late.state.refusal = new VirtxError("unavailable", "away");
  await late.look();
  late.state.refusal = undefined;
  late.state.joined = false;
  await late.look();
  assert.deepEqual(late.listed(), []);
});
