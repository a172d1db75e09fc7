import assert from "node:assert/strict";
import { heldDisks } from "../../../lib/domain_xml/writable_disks.ts";

function held(disks: string): string[] {
  return [...heldDisks(`<domain><devices>${disks}</devices></domain>`)];
}

Deno.test("a disk keeps from others what it writes to, what that stands on, and where it is copied to", () => {
  const live = `<disk type='file' device='disk'><source file='/vms/ds/top.qcow2' index='3'/>
    <backingStore type='file'><format type='qcow2'/><source file='/vms/ds/base.qcow2'>
        <dataStore type='file'><source file='/vms/ds/data.raw'/></dataStore></source>
      <backingStore type='block'><source dev='/dev/base'/></backingStore></backingStore>
    <mirror type='file' job='copy'><source file='/vms/ds/copy.qcow2'/></mirror></disk>`;
  assert.deepEqual(held(live), [
    "/vms/ds/top.qcow2",
    "/vms/ds/base.qcow2",
    "/vms/ds/data.raw",
    "/dev/base",
    "/vms/ds/copy.qcow2",
  ]);
});

Deno.test("what is shared is kept from nobody: CD-ROMs, LUNs, and what is declared so", () => {
  const shared = `<disk device='cdrom'><source file='/vms/ds/a.iso'/></disk>
    <disk device='lun'><source dev='/dev/lun'/></disk>
    <disk><source file='/vms/ds/s.raw'/><shareable/></disk><disk><source file='/vms/ds/r.raw'/><readonly/></disk>
    <disk><source file='/vms/ds/own.raw'/></disk><disk type='network'><source protocol='rbd' name='p/d'/></disk>`;
  assert.deepEqual(held(shared), ["/vms/ds/own.raw"]);
});
