import assert from "node:assert/strict";
import type { VmEvent } from "../../../lib/cluster/records.ts";
import { DomainState } from "../../../lib/libvirt/constants.ts";
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import { NetType, Runstate } from "../../../lib/model/enums.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import type { TargetCheck } from "../../../lib/vm/migration_exchange.ts";
import { OBSTACLES } from "../../../lib/vm/migration_obstacles.ts";
import { type AskedHost, MixedPeers } from "../../../lib/vm/mixed_peers.ts";
import { fixture } from "../../support/fixtures.ts";
import { ScriptedPeers } from "../../support/scripted_peers.ts";
import { TestDriverHost } from "../../support/test_driver.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const GO = numberedUuid(2000);
const OURS = numberedUuid(3000);
const WEB = numberedUuid(1);
const ADDRESS = "192.0.2.2";
const NOW = AbortSignal.timeout(60_000);

const CHECK: TargetCheck = {
  vm: numberedUuid(9),
  name: "db",
  live: false,
  arch: "x86_64",
  domainType: "qemu",
  machine: "pc-i440fx-7.2",
  emulator: "/usr/bin/qemu-system-x86_64",
  qemuVersion: 7_002_011,
  uefi: false,
  vcpus: 1,
  memoryMiB: 100,
  hugepages: false,
  cpu: "",
  disks: [{ path: "/vms/ds/db.qcow2", identity: "1:2", sizeMiB: 8 }],
  nets: [{ name: "br7", nettype: NetType.bridge }],
};

/** A libvirt of a QEMU host, by texts of a real one, with domains of the test driver's. */
function libvirtOf(hypervisor: Hypervisor, uuid = GO): AskedHost {
  const capabilities = fixture("domain_xml/libvirt-9.0/capabilities.xml")
    .replace(/<uuid>[^<]*<\/uuid>/, `<uuid>${uuid}</uuid>`);
  return new Proxy(hypervisor, {
    get(target, name) {
      if (name === "capabilities") return () => Promise.resolve(capabilities);
      if (name === "domainCapabilities") {
        return () => Promise.resolve(fixture("domain_xml/libvirt-9.0/domcapabilities-pc.xml"));
      }
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A host of the prototype with the VM "web", and one of ours. */
class Mixed implements AsyncDisposable {
  readonly scripted = new ScriptedPeers();
  readonly heard: VmEvent[] = [];
  readonly peers: MixedPeers;
  uuid = GO;
  memoryMiB = 4_000;

  private constructor(readonly driver: TestDriverHost, readonly libvirt: Hypervisor) {
    this.scripted.addresses.set(GO, ADDRESS).set(OURS, "192.0.2.3");
    this.scripted.prototypes.add(GO);
    this.peers = new MixedPeers({
      peers: this.scripted,
      hypervisor: {
        remote: (address, task) => {
          assert.equal(address, ADDRESS);
          return task(libvirtOf(libvirt, this.uuid));
        },
      },
      inventory: {
        host: (uuid) => {
          const { resources } = hostEntry();
          const memory = { ...resources.memory, availablevms: this.memoryMiB };
          return { ...hostEntry({ uuid, resources: { ...resources, memory } }), doubted: false };
        },
        vm: (uuid) => ({ ...vmInfo({ uuid, ts: 70 }), lastrunstate: Runstate.migrating, cstate: 1 }),
      },
      hear: (event) => void this.heard.push(event),
    });
  }

  static async create(): Promise<Mixed> {
    const driver = await TestDriverHost.create([{ uuid: WEB, name: "web", state: DomainState.shutoff }]);
    const libvirt = await Hypervisor.open({ uri: driver.uri, log: silentLogger });
    return new Mixed(driver, libvirt);
  }

  async codes(check: Partial<TargetCheck> = {}): Promise<string[]> {
    const verdict = await this.peers.check(GO, { ...CHECK, ...check }, NOW);
    for (const { code } of verdict.obstacles) assert.ok(code in OBSTACLES, code);
    assert.equal(verdict.fits, verdict.obstacles.every(({ soft }) => soft));
    return verdict.obstacles.map(({ code }) => code);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.libvirt[Symbol.asyncDispose]();
    await this.driver[Symbol.asyncDispose]();
  }
}

Deno.test("a host of the prototype is checked by its libvirt, and what that does not tell is told, and no refusal", async () => {
  await using mixed = await Mixed.create();
  const { fits, obstacles } = await mixed.peers.check(GO, CHECK, NOW);
  assert.ok(fits);
  assert.deepEqual(obstacles.map(({ code, soft }) => [code, soft]), [["prototype", true]]);
  assert.match(obstacles[0]?.message ?? "", /runs the prototype.*sees the disks.*bridge "br7"/);
  assert.deepEqual(await mixed.codes({ arch: "riscv64" }), ["arch", "prototype"]);
  assert.deepEqual(await mixed.codes({ machine: "pc-i440fx-99" }), ["machine", "prototype"]);
  assert.deepEqual(await mixed.codes({ name: "web" }), ["defined", "prototype"]);
  assert.deepEqual(await mixed.codes({ vm: WEB }), ["defined", "prototype"]);
  assert.deepEqual(await mixed.codes({ memoryMiB: 5_000 }), ["prototype", "memory"]);
  mixed.uuid = OURS;
  assert.deepEqual(await mixed.codes(), ["address", "prototype"]);
});

Deno.test("what has come to a host of the prototype is seen in its libvirt, and shown until it tells itself", async () => {
  await using mixed = await Mixed.create();
  const { peers, libvirt, heard, scripted } = mixed;
  assert.equal((await peers.look(GO, WEB, NOW)).presence, "off");
  assert.equal((await peers.look(GO, CHECK.vm, NOW)).presence, "absent");
  await peers.seeArrival(GO, CHECK.vm, NOW);
  assert.deepEqual(heard, []);
  await peers.seeArrival(GO, WEB, NOW);
  await libvirt.start(WEB);
  await peers.seeArrival(GO, WEB, NOW);
  // Newer than what was said of it here, and no newer than that.
  assert.deepEqual(heard.map(({ host, runstate, ts }) => [host, runstate, ts]), [
    [GO, Runstate.poweroff, 71],
    [GO, Runstate.running, 71],
  ]);
  await peers.seeArrival(OURS, WEB, NOW);
  assert.equal(heard.length, 2);
  assert.deepEqual(scripted.done, []);
});

Deno.test("over a prototype's libvirt a guest that was held is resumed, and a leftover removed, but none that runs", async () => {
  await using mixed = await Mixed.create();
  const { peers, libvirt } = mixed;
  await assert.rejects(peers.resume(GO, WEB, NOW), /it is off there/);
  await libvirt.start(WEB);
  await assert.rejects(peers.discard(GO, WEB, NOW), { kind: "conflict", message: /it is running there/ });
  await libvirt.suspend(WEB);
  await peers.resume(GO, WEB, NOW);
  await peers.resume(GO, WEB, NOW);
  assert.equal((await peers.look(GO, WEB, NOW)).presence, "running");
  await libvirt.suspend(WEB);
  await peers.discard(GO, WEB, NOW);
  await peers.discard(GO, WEB, NOW);
  assert.equal((await peers.look(GO, WEB, NOW)).presence, "absent");
  await peers.discard(OURS, WEB, NOW);
  assert.deepEqual(mixed.scripted.done, ["discard"]); // ours does so by itself
});
