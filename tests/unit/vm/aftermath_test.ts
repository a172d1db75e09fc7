import assert from "node:assert/strict";
import type { LocalDomain } from "../../../lib/host/monitor.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { Operation } from "../../../lib/model/operation.ts";
import { aftermathOf } from "../../../lib/vm/aftermath.ts";
import { VmHost } from "../../support/vm_host.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { operationMetadata } from "../../../lib/domain_xml/metadata.ts";

const STARTED = 1_000;

/** A VM that is here, maybe with the record of an operation. */
async function domainWith(record?: Operation): Promise<LocalDomain> {
  await using host = await VmHost.start();
  const vmdef = { ...SMALL_VMDEF, osdisk: diskAt("/vms/ds/a.raw") };
  const uuid = await host.vms.create({ vmdef, host: "" });
  if (record) await host.host.hypervisor.setMetadata(uuid, { ...operationMetadata(record), live: false });
  const domain = await host.host.monitor.refresh(uuid);
  assert.ok(domain);
  return domain;
}

function aftermath(op: string, domain: LocalDomain | undefined): unknown {
  const vm = domain?.uuid ?? "gone";
  try {
    return aftermathOf({ id: "", op, vm, host: "", state: "running", started: STARTED, ended: 0 }, domain);
  } catch (error) {
    assert.ok(error instanceof VirtxError);
    return `${error.kind}: ${error.message}`;
  }
}

Deno.test("of an operation that was cut off it is told what became of it, by whether the VM is there", async () => {
  const domain = await domainWith();
  assert.equal(aftermath("VmCreate", domain), domain.uuid);
  assert.equal(
    aftermath("VmCreate", undefined),
    "unavailable: virtxd ended before VmCreate was done: it was undone",
  );
  assert.deepEqual(aftermath("VmDelete", undefined), {});
  assert.match(String(aftermath("VmDelete", domain)), /^unavailable: .*it was undone$/);
  assert.match(String(aftermath("VmBoot", domain)), /^unavailable: .*see the VM for whether it took effect$/);
});

Deno.test("of a migration that is over: the VM is gone, or its record has the reason", async () => {
  assert.deepEqual(aftermath("VmMigrate", undefined), {});
  assert.match(String(aftermath("VmMigrate", await domainWith())), /^unavailable: .*it was not begun$/);
  const record = {
    op: "VmMigrate",
    ts: STARTED + 1,
    te: STARTED + 9,
    status: "failed",
    msg: "no luck",
  } as const;
  assert.equal(aftermath("VmMigrate", await domainWith(record)), "refused: Cannot migrate: no luck");
  const older = await domainWith({ ...record, ts: STARTED - 1 });
  assert.match(String(aftermath("VmMigrate", older)), /it was not begun$/);
});
