import assert from "node:assert/strict";
import { VirtxError } from "../../../lib/model/error.ts";
import { explainLease } from "../../../lib/vm/lease_failure.ts";

const LEASED =
  "<domain><devices><lease><lockspace>__VIRTX__DISKS__</lockspace><key>a</key></lease></devices></domain>";
const REFUSED = new VirtxError("refused", "Failed to acquire lock: No space left on device");

Deno.test("a start that sanlock refuses for want of its lockspace says so", () => {
  const error = explainLease(REFUSED, LEASED);
  assert.ok(error instanceof VirtxError);
  assert.equal(error.kind, "refused");
  assert.match(error.message, /lockspace "__VIRTX__DISKS__", which this host has not joined/);
  assert.match(error.message, /libvirt says: Failed to acquire lock: No space left on device$/);
});

Deno.test("other failures, and those of VMs without a lease, are told as they are", () => {
  assert.equal(explainLease(REFUSED, "<domain/>"), REFUSED);
  const other = new VirtxError("refused", "cannot access storage");
  assert.equal(explainLease(other, LEASED), other);
  const defect = new TypeError("No space left on device");
  assert.equal(explainLease(defect, LEASED), defect);
});
