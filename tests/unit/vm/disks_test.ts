import assert from "node:assert/strict";
import { DiskBus, DiskDevice, DiskManagement, DiskProvisioning } from "../../../lib/model/enums.ts";
import type { Disk } from "../../../lib/model/vm.ts";
import { planDisks, unwiped } from "../../../lib/vm/disks.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const LUN: Disk = {
  path: "/dev/disk/by-id/wwn-0x6001405",
  device: DiskDevice.lun,
  bus: DiskBus.virtioScsi,
  man: DiskManagement.managed,
  prov: DiskProvisioning.thin,
  size: 1024,
};

/** Storage in which that LUN exists, and nothing can be made of it. */
const STORAGE = {
  plan: () => Promise.reject(new Error("nothing is to be made")),
  inspect: () =>
    Promise.resolve({
      sizeMiB: 1024,
      prov: DiskProvisioning.none,
      format: "raw" as const,
      physicalMiB: 1024,
      dirty: false,
    }),
};

Deno.test("a LUN with a prov is taken as it is, new and kept, and keeps its prov in the definition", async () => {
  for (const size of [0, 1024]) {
    const def = { ...SMALL_VMDEF, osdisk: { ...LUN, size } };
    for (const old of [undefined, def, { ...def, osdisk: { ...LUN, prov: DiskProvisioning.none } }]) {
      const { plan, obstacles } = await planDisks(STORAGE, def, old, "tag");
      assert.deepEqual(obstacles, []);
      assert.deepEqual(plan.provision, []);
      assert.deepEqual(plan.def.osdisk, LUN);
    }
  }
});

Deno.test("a LUN of another size is not what was asked for", async () => {
  const def = { ...SMALL_VMDEF, osdisk: { ...LUN, size: 2048 } };
  const { obstacles } = await planDisks(STORAGE, def, undefined, "tag");
  assert.deepEqual(obstacles.map(({ field }) => field), ["vmdef.osdisk.size"]);
});

Deno.test("of managed LUNs alone it is said that they are not wiped", () => {
  const file = diskAt("/vms/ds/a.raw");
  assert.equal(unwiped([file, { ...LUN, man: DiskManagement.unmanaged }]), undefined);
  assert.equal(unwiped([file, LUN]), `not wiped, as virtxd never wipes a LUN: "${LUN.path}"`);
});
