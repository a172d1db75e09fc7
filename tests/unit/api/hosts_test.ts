import assert from "node:assert/strict";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { Vm } from "../../../lib/model/vm.ts";
import type { HostUseCases } from "../../../lib/vm/use_cases.ts";
import { ApiCluster } from "../../support/api_cluster.ts";
import { apiFixture } from "../../support/api_fixture.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const GONE = numberedUuid(5000);
const VM = numberedUuid(7);

/** Hosts of which one is gone with a VM, and what was asked of them. */
function hostsOf(asked: unknown[], unsure?: string): HostUseCases {
  return {
    unsure,
    hasAway: (vm) => vm === VM,
    getAway(vm) {
      asked.push(["get", vm]);
      return Promise.resolve(
        { uuid: vm, def: SMALL_VMDEF, runinfo: { runstate: Runstate.none, host: GONE } } as Vm,
      );
    },
    remove(host, options) {
      asked.push(["remove", host, options]);
      return options.force
        ? Promise.resolve()
        : Promise.reject(new VirtxError("conflict", "Cannot remove host"));
    },
  };
}

Deno.test("a host is removed by whoever is asked, and only by force where that is refused", async () => {
  const asked: unknown[] = [];
  const { call } = apiFixture({ hosts: hostsOf(asked) });
  assert.equal((await call("DELETE", `/hosts/${GONE}`)).status, 422);
  assert.equal((await call("DELETE", `/hosts/${GONE.toUpperCase()}?force=true`)).status, 204);
  assert.deepEqual(asked, [["remove", GONE, { force: false }], ["remove", GONE, { force: true }]]);
  for (const path of [`/hosts/${GONE}?force=yes`, `/hosts/${GONE}?now=true`, "/hosts/virt3"]) {
    assert.equal((await call("DELETE", path)).status, 400, path);
  }
  assert.equal(asked.length, 2);
});

Deno.test("a VM whose host is away is shown by whoever is asked, changed by nobody, and its host is told as gone", async () => {
  const asked: unknown[] = [];
  await using cluster = await ApiCluster.start(1, { hosts: hostsOf(asked) });
  const { inventory, send } = cluster.host(0);
  inventory.setHostState(GONE, HostState.failed);
  inventory.putHost(hostEntry({ uuid: GONE, def: { ...hostEntry().def, name: "virt3" } }));
  inventory.putVm(vmInfo({ uuid: VM, host: GONE, runstate: Runstate.none }));
  assert.equal((await (await send("GET", `/vms/${VM}`)).json()).runinfo.host, GONE);
  assert.deepEqual(asked, [["get", VM]]);
  const { status, detail } = await (await send("POST", `/vms/${VM}/runstate/boot`)).json();
  assert.equal(status, 503);
  assert.match(detail, /host "virt3" is gone: .*virtx vm register --host/);
  assert.equal((await (await send("GET", `/hosts/${GONE}`)).json()).gone, true);
  const { items } = await (await send("GET", "/hosts")).json();
  assert.deepEqual(items.map(({ fields }: { fields: Record<string, unknown> }) => fields["gone"]), [
    undefined,
    true,
  ]);
});

Deno.test("while what hosts have registered is not read yet, nobody says that a VM is nowhere", async () => {
  const { call } = apiFixture({ hosts: hostsOf([], "what a host has registered is still to be read") });
  assert.equal((await call("GET", `/vms/${numberedUuid(8)}`)).status, 503);
  assert.equal((await call("GET", `/vms/${numberedUuid(8)}/runstate`)).status, 503);
});
