import assert from "node:assert/strict";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { anyOf } from "../../../lib/vm/disk_users.ts";
import { LocalDisks } from "../../../lib/vm/local_disks.ts";
import { numberedUuid, vmInfo } from "../../support/vm_info.ts";

const [RUNNING, OFF, HUNG] = [numberedUuid(1), numberedUuid(2), numberedUuid(3)];
const HANGS = new VirtxError("timeout", "libvirt did not answer for 5 s");

function xml(...paths: readonly string[]): string {
  const disks = paths.map((path) => `<disk type='file' device='disk'><source file='${path}'/></disk>`);
  return `<domain><devices>${disks.join("")}</devices></domain>`;
}

/** VMs by what libvirt has of them: the definition, which it may not tell, and what runs; undefined: it is off. */
function localDisks(
  vms: Readonly<Record<string, { inactive?: string; live?: string | Error; arriving?: true }>>,
  { patienceMs = 0 } = {},
) {
  const inventory = new Inventory();
  const asked: string[] = [];
  for (const uuid of Object.keys(vms)) inventory.putVm(vmInfo({ uuid, name: `vm${uuid.at(-1)}` }));
  const disks = new LocalDisks({
    patienceMs,
    inventory,
    monitor: {
      domain: (uuid) => ({
        runstate: vms[uuid]?.live === undefined ? Runstate.poweroff : Runstate.running,
        arriving: vms[uuid]?.arriving ?? false,
      }),
    },
    hypervisor: {
      domains: () =>
        Promise.resolve(Object.keys(vms).map((uuid) => ({ uuid, name: uuid, persistent: true }))),
      definitions: (uuids, read) =>
        Promise.resolve({
          found: new Map(
            uuids.filter((uuid) => vms[uuid]?.inactive !== undefined).map((
              uuid,
            ) => [uuid, read(vms[uuid]?.inactive ?? "", uuid)]),
          ),
          held: new Set(uuids.filter((uuid) => vms[uuid]?.inactive === undefined)),
        }),
      liveXml: (uuid) => {
        asked.push(uuid);
        const live = vms[uuid]?.live ?? "";
        return typeof live === "string" ? Promise.resolve(live) : Promise.reject(live);
      },
    },
  });
  return { disks, asked };
}

Deno.test("what runs has its disks, too, and a definition those that it got meanwhile; others are not asked", async () => {
  const { disks, asked } = localDisks({
    [RUNNING]: { inactive: xml("/vms/ds/a"), live: xml("/vms/ds/a", "/vms/ds/hot") },
    [OFF]: { inactive: xml("/vms/ds/later", "/vms/ds/base.qcow2") },
  });
  const wanted = ["/vms/ds/hot", "/vms/ds/later", "/vms/ds/base", "/vms/ds/free"];
  assert.deepEqual([...await disks.users(wanted, numberedUuid(9))].toSorted(), [
    ["/vms/ds/hot", `VM "vm1" (${RUNNING})`],
    ["/vms/ds/later", `VM "vm2" (${OFF})`],
  ]);
  assert.deepEqual(asked, [RUNNING]);
  assert.equal((await disks.users(["/vms/ds/hot"], RUNNING)).size, 0);
  assert.equal((await disks.users([], OFF)).size, 0);
  assert.deepEqual(asked, [RUNNING]);
});

Deno.test("a guest about which libvirt does not answer may have any disk; one that is gone has none", async () => {
  const { disks } = localDisks({
    [HUNG]: { inactive: xml("/vms/ds/a"), live: HANGS },
    [OFF]: { inactive: xml(), live: new VirtxError("not_found", "no domain") },
  });
  const untold = localDisks({ [HUNG]: { live: HANGS } });
  assert.deepEqual([...await untold.disks.users(["/vms/ds/a"], OFF)], [
    ["/vms/ds/a", `VM "vm3" (${HUNG}), or may be: libvirt does not tell its definition`],
  ]);
  assert.deepEqual(untold.asked, []);
  const arriving = localDisks({ [HUNG]: { live: HANGS, arriving: true } });
  assert.equal((await arriving.disks.users(["/vms/ds/a"], OFF)).size, 0);
  assert.deepEqual([...await disks.users(["/vms/ds/a", "/vms/ds/b"], numberedUuid(9))], [
    ["/vms/ds/a", `VM "vm3" (${HUNG})`],
    ["/vms/ds/b", `VM "vm3" (${HUNG}), or may be: libvirt did not answer for 5 s`],
  ]);
});

Deno.test("a guest that libvirt is busy with is asked about again, and then has what it has", async () => {
  const guests: Record<string, { inactive?: string }> = { [OFF]: {} };
  const { disks } = localDisks(guests, { patienceMs: 60_000 });
  const told = disks.users(["/vms/ds/a", "/vms/ds/b"], RUNNING);
  setTimeout(() => guests[OFF] = { inactive: xml("/vms/ds/a") }, 0);
  assert.deepEqual([...await told], [["/vms/ds/a", `VM "vm2" (${OFF})`]]);
});

Deno.test("of several who know a disk's user the first is quoted", async () => {
  const knows = (...users: [string, string][]) => ({ users: () => Promise.resolve(new Map(users)) });
  const users = await anyOf(knows(["a", "one"]), knows(["a", "two"], ["b", "two"])).users(["a", "b"], OFF);
  assert.deepEqual([...users].toSorted(), [["a", "one"], ["b", "two"]]);
});

Deno.test("a definition that cannot be read has every disk that it names", async () => {
  const { disks } = localDisks({ [OFF]: { inactive: "<domain>/vms/ds/a" } });
  assert.deepEqual([...(await disks.users(["/vms/ds/a", "/vms/ds/b"], RUNNING)).keys()], ["/vms/ds/a"]);
});
