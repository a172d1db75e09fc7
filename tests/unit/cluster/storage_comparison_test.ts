import assert from "node:assert/strict";
import { StorageComparison } from "../../../lib/cluster/storage_comparison.ts";
import { Health } from "../../../lib/model/health.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const A = numberedUuid(1);
const B = numberedUuid(2);

Deno.test("hosts with different storage are reported by name until they share one", () => {
  const health = new Health();
  const comparison = new StorageComparison(health, silentLogger);
  const reasons = (id: string | undefined, ...others: [host: string, id: string][]) => {
    comparison.compare({ host: "virt1", id }, others.map(([host, id]) => ({ host, id })));
    return health.conditions.map(({ reason, blocking }) => `${blocking} ${reason.split(":")[0]}`);
  };
  const different = `false hosts virt1 and virt2 have different storage at /vms (${A} and ${B})`;
  assert.deepEqual(reasons(undefined, ["virt2", B]), []);
  assert.deepEqual(reasons(A, ["virt2", B], ["virt3", A]), [different]);
  assert.deepEqual(reasons(A, ["virt2", B]), [different]);
  assert.deepEqual(reasons(A, ["virt2", A]), []);
  assert.deepEqual(reasons(A, ["virt2", B]), [different]);
  assert.deepEqual(reasons(A), []);
});
