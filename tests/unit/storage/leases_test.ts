import assert from "node:assert/strict";
import { leaseKey } from "../../../lib/model/lease_key.ts";
import { Leases } from "../../../lib/storage/leases.ts";
import { writeLease } from "../../support/sanlock_lease.ts";
import { SharedStorage } from "../../support/shared_storage.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const DISK = "/vms/ds/web/os.qcow2";

Deno.test("the key of a lease is made from the disk's path, or from the LUN's name by id", () => {
  assert.equal(leaseKey("/vms/ds/a.qcow2"), "bca1816de25b206763ad8476733eef04");
  const byId = "/dev/disk/by-id";
  assert.equal(leaseKey(`${byId}/dm-uuid-mpath-36001405`), "36001405");
  assert.equal(leaseKey(`${byId}/scsi-36001405`), "36001405");
  assert.equal(leaseKey(`${byId}/wwn-0x6001405`), "36001405");
  assert.equal(leaseKey(`${byId}/nvme-eui.0025`), "eui.0025");
  assert.equal(leaseKey("/dev/sda"), undefined);
});

Deno.test("a lease that nobody holds ends with its directory; none is fine", async () => {
  await using shared = await SharedStorage.create();
  const leases = new Leases(shared.tree);
  await leases.end(DISK);
  const file = await writeLease(shared, DISK);
  const other = await writeLease(shared, "/vms/ds/other.qcow2", 1);
  await leases.requireFree(DISK);
  await leases.end(DISK);
  await leases.end(DISK);
  await assert.rejects(Deno.lstat(file), Deno.errors.NotFound);
  assert.deepEqual([...Deno.readDirSync(shared.at("/vms/lock"))].map(({ name }) => other.includes(name)), [
    true,
  ]);
});

Deno.test("a lease that is held stays, and its holder is named", async () => {
  await using shared = await SharedStorage.create();
  const leases = new Leases(shared.tree);
  const file = await writeLease(shared, DISK, 3);
  const before = await Deno.readFile(file);
  const host = numberedUuid(9);
  for (const [uuid, number] of [[numberedUuid(8), 2], [host, 3]]) {
    await Deno.mkdir(shared.at(`/vms/xml/${uuid}`), { recursive: true });
    await Deno.writeTextFile(shared.at(`/vms/xml/${uuid}/lockid`), `${number}\n`);
  }
  for (const attempt of [() => leases.requireFree(DISK), () => leases.end(DISK)]) {
    await assert.rejects(attempt(), {
      kind: "conflict",
      message: new RegExp(`host 3 \\(host ${host}\\) holds its lease "/vms/lock/`),
    });
  }
  assert.deepEqual(await Deno.readFile(file), before);
});

Deno.test("what is no lease of sanlock's, or is a link, is left alone", async () => {
  await using shared = await SharedStorage.create();
  const leases = new Leases(shared.tree);
  const file = await writeLease(shared, DISK);
  for (const content of [new Uint8Array(), new Uint8Array(4096)]) {
    await Deno.writeFile(file, content);
    await assert.rejects(leases.end(DISK), { kind: "storage", message: /none that sanlock has written/ });
  }
  await Deno.remove(file);
  await Deno.symlink("/etc/hostname", file);
  await assert.rejects(leases.end(DISK), { kind: "storage", message: /not a regular file/ });
  assert.ok(await Deno.lstat(file));
});
