import assert from "node:assert/strict";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import { type ApiFixture, apiFixture, HERE } from "../../support/api_fixture.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const OTHER_HOST = numberedUuid(2000);

async function createVm({ call }: ApiFixture): Promise<string> {
  const response = await call("POST", "/vms", { vmdef: SMALL_VMDEF, host: "" });
  assert.equal(response.status, 201);
  return await response.json();
}

Deno.test("VmCreate answers 201 with the UUID as a JSON string, and its path", async () => {
  const fixture = apiFixture();
  const response = await fixture.call("POST", "/vms", { vmdef: SMALL_VMDEF, host: HERE });
  assert.equal(response.status, 201);
  const uuid = await response.json();
  assert.equal(response.headers.get("location"), `/vms/${uuid}`);
  assert.equal(fixture.inventory.vm(uuid)?.name, SMALL_VMDEF.name);
});

Deno.test("VmGet answers 200 with the VM, its definition complete", async () => {
  const fixture = apiFixture();
  const uuid = await createVm(fixture);
  const response = await fixture.call("GET", `/vms/${uuid}`);
  assert.equal(response.status, 200);
  const vm = await response.json();
  assert.deepEqual(vm.def, SMALL_VMDEF);
  assert.deepEqual(vm.runinfo, { runstate: Runstate.poweroff, host: HERE });
});

Deno.test("VmUpdate and VmDelete answer 204", async () => {
  const fixture = apiFixture();
  const uuid = await createVm(fixture);
  const updated = await fixture.call("PUT", `/vms/${uuid}`, {
    vmdef: { ...SMALL_VMDEF, name: "new" },
    deletestorage: false,
  });
  assert.equal(updated.status, 204);
  assert.equal(fixture.inventory.vm(uuid)?.name, "new");
  const deleted = await fixture.call("DELETE", `/vms/${uuid}`, { deletestorage: true });
  assert.equal(deleted.status, 204);
  assert.equal(deleted.body, null);
  assert.equal(fixture.inventory.vm(uuid), undefined);
});

Deno.test("VmUpdate and VmDelete answer 200 with a Warning if storage is left, in plain ASCII", async () => {
  const fixture = apiFixture();
  const uuid = await createVm(fixture);
  fixture.vms.outcome = { warning: 'Cannot delete "/vms/ds/é.raw":\r\nX-Evil: 1' };
  const response = await fixture.call("DELETE", `/vms/${uuid}`, { deletestorage: true });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("warning"), '199 virtxd "Cannot delete \\"/vms/ds/?.raw\\":??X-Evil: 1"');
});

Deno.test("a LUN that the prototype would wipe is taken, and the answer says that it is not wiped", async () => {
  const { call } = apiFixture();
  const path = "/dev/disk/by-id/wwn-0x6001405";
  const osdisk = { path, device: 2, bus: 1, man: 1, prov: 1 };
  const response = await call("POST", "/vms", { vmdef: { ...SMALL_VMDEF, osdisk }, host: "" });
  assert.equal(response.status, 201, await response.text());
  const said = `not wiped, as virtxd never wipes a LUN: \\"${path}\\"`;
  assert.equal(response.headers.get("warning"), `199 virtxd "${said}"`);
});

Deno.test("boot, pause, resume and a forced shutdown answer 204, a shutdown by ACPI 202", async () => {
  const fixture = apiFixture();
  const path = `/vms/${await createVm(fixture)}/runstate`;
  const statuses: number[] = [];
  const steps: [string, string, unknown][] = [
    ["POST", "/boot", { cloud_init: [{ name: "ci-userdata", value: "#cloud-config\n" }] }],
    ["POST", "/pause", null],
    ["DELETE", "/pause", null],
    ["DELETE", "/boot", { force: 0 }],
    ["DELETE", "/boot", { force: 2 }],
  ];
  for (const [method, step, body] of steps) {
    statuses.push((await fixture.call(method, path + step, body)).status);
  }
  assert.deepEqual(statuses, [204, 204, 204, 202, 204]);
});

Deno.test("VmRegister answers 200 when the registry was refreshed and 201 when the VM was defined", async () => {
  const fixture = apiFixture();
  const uuid = await createVm(fixture);
  assert.equal((await fixture.call("PUT", `/vms/${uuid}/register`, { host: "" })).status, 200);
  fixture.vms.register = () => Promise.resolve("defined");
  assert.equal((await fixture.call("PUT", `/vms/${uuid}/register`, { host: HERE })).status, 201);
});

Deno.test("operations whose options all have defaults take no body, null and an empty object alike", async () => {
  for (const body of [undefined, null, {}]) {
    const fixture = apiFixture();
    const uuid = await createVm(fixture);
    assert.equal((await fixture.call("POST", `/vms/${uuid}/runstate/boot`, body)).status, 204);
    assert.equal((await fixture.call("DELETE", `/vms/${uuid}/runstate/boot`, body)).status, 202);
    assert.equal((await fixture.call("PUT", `/vms/${uuid}/register`, body)).status, 200);
    await fixture.call("DELETE", `/vms/${uuid}/runstate/boot`, { force: 2 });
    assert.equal((await fixture.call("DELETE", `/vms/${uuid}`, body)).status, 204);
  }
});

Deno.test("operations without options refuse a body that says something", async () => {
  const fixture = apiFixture();
  const uuid = await createVm(fixture);
  const response = await fixture.call("POST", `/vms/${uuid}/runstate/pause`, { force: true });
  assert.equal(response.status, 400);
});

Deno.test("VmMigrate without a target answers 501, without a body 400; VmMigrateGet answers MigrationInfo", async () => {
  const fixture = apiFixture();
  const path = `/vms/${await createVm(fixture)}/runstate/migrate`;
  assert.equal((await fixture.call("POST", path, { host: "", migration_type: 1 })).status, 501);
  assert.equal((await fixture.call("POST", path, null)).status, 400);
  const info = await fixture.call("GET", path);
  const { state, progress } = await info.json();
  const { total, transferred, remaining, rate } = progress;
  assert.deepEqual([state, total, transferred, remaining, rate], [0, 0, 0, 0, 0]);
  assert.deepEqual(await (await fixture.call("POST", `${path}?dry_run=true`, {})).json(), []);
  assert.equal((await fixture.call("DELETE", path)).status, 422);
});

Deno.test("VmRunstateGet answers for another host's VM too", async () => {
  const fixture = apiFixture();
  fixture.inventory.putVm(vmInfo({ uuid: numberedUuid(7), host: OTHER_HOST, runstate: Runstate.paused }));
  const response = await fixture.call("GET", `/vms/${numberedUuid(7)}/runstate`);
  assert.deepEqual(await response.json(), {
    runstate: Runstate.paused,
    host: OTHER_HOST,
    lastrunstate: Runstate.paused,
    cstate: HostState.active,
    seen: 0,
  });
  fixture.inventory.confirm(OTHER_HOST, 1_234);
  fixture.inventory.setHostState(OTHER_HOST, HostState.failed);
  const unknown = await fixture.call("GET", `/vms/${numberedUuid(7)}/runstate`);
  assert.deepEqual(await unknown.json(), {
    runstate: Runstate.none,
    host: OTHER_HOST,
    lastrunstate: Runstate.paused,
    cstate: HostState.failed,
    seen: 1_234,
  });
});

Deno.test("HostGet answers the host, or 404", async () => {
  const { call, inventory } = apiFixture();
  const get = async () => await (await call("GET", `/hosts/${HERE}`)).json();
  assert.deepEqual(await get(), { ...inventory.host(HERE), conditions: [], seen: 0, api: "" });
  inventory.confirm(HERE, 1_234);
  assert.equal((await get()).seen, 1_234);
  assert.equal((await call("GET", `/hosts/${OTHER_HOST}`)).status, 404);
});

Deno.test("a host that is alone refuses requests for others with 503, and says why", async () => {
  const { call, inventory } = apiFixture();
  const detail = async (response: Response) => {
    assert.equal(response.status, 503);
    return (await response.json()).detail;
  };
  const create = () => call("POST", "/vms", { vmdef: SMALL_VMDEF, host: OTHER_HOST });
  assert.match(await detail(await create()), /host 0.*2000 is not known; GET \/hosts has all that are$/);
  inventory.putHost(hostEntry({ uuid: OTHER_HOST, cstate: 3 }));
  assert.match(
    await detail(await create()),
    /host "virt1" is not active but failed; Serf and virtxd have to run there$/,
  );
  inventory.putVm(vmInfo({ uuid: numberedUuid(7), host: OTHER_HOST }));
  assert.match(
    await detail(await call("DELETE", `/vms/${numberedUuid(7)}`)),
    /is not active but failed; Serf and virtxd have to run there$/,
  );
});

Deno.test("a request that was passed on and is not for this host answers 508", async () => {
  const { call, inventory } = apiFixture();
  inventory.putHost(hostEntry({ uuid: OTHER_HOST }));
  inventory.putVm(vmInfo({ uuid: numberedUuid(7), host: OTHER_HOST }));
  const loop = { "X-VirtX-Loop": "1" };
  const refused = await call("POST", "/vms", { vmdef: SMALL_VMDEF, host: OTHER_HOST }, loop);
  assert.deepEqual([refused.status, refused.headers.get("x-virtx-host")], [508, OTHER_HOST]);
  assert.equal((await call("POST", `/vms/${numberedUuid(7)}/runstate/pause`, null, loop)).status, 508);
  assert.equal((await call("POST", "/vms", { vmdef: SMALL_VMDEF, host: HERE }, loop)).status, 201);
});

Deno.test("health, readiness and the log level are told, and the level can be changed", async () => {
  const fixture = apiFixture();
  assert.deepEqual(await (await fixture.call("GET", "/healthz")).json(), {
    status: "ok",
    version: "0.0.0-test",
  });
  assert.deepEqual(await (await fixture.call("GET", "/readyz")).json(), { ready: true, degraded: [] });
  assert.equal((await fixture.call("PUT", "/loglevel", { level: "debug" })).status, 204);
  assert.deepEqual(await (await fixture.call("GET", "/loglevel")).json(), { level: "debug" });
  assert.equal((await fixture.call("PUT", "/loglevel", { level: "loud" })).status, 400);
});

Deno.test("a daemon that is not ready answers 503 with its reasons, and does not log being asked", async () => {
  const readiness = { ready: false, reasons: ["libvirt is away"], degraded: ["the disk is slow"] };
  const { call, lines } = apiFixture({ readiness: () => readiness });
  const response = await call("GET", "/readyz");
  assert.equal(response.status, 503);
  assert.match((await response.json()).detail, /libvirt is away; the disk is slow/);
  assert.deepEqual(lines, []);
});

Deno.test("a daemon that can do its work says what is wrong all the same", async () => {
  const { call } = apiFixture({
    readiness: () => ({ ready: true, reasons: [], degraded: ["a guest hangs"] }),
  });
  const response = await call("GET", "/readyz");
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { ready: true, degraded: ["a guest hangs"] });
});

Deno.test("while libvirt is away reads say for how long", async () => {
  const { call } = apiFixture({ stale: () => 1_000, clock: () => 8_400 });
  assert.equal((await call("GET", "/vms")).headers.get("x-virtx-stale"), "7");
  assert.equal((await call("GET", `/hosts/${HERE}`)).headers.get("x-virtx-stale"), "7");
  assert.equal((await apiFixture().call("GET", "/vms")).headers.get("x-virtx-stale"), null);
});

Deno.test("operations of a host that there is not are not found, rather than to be waited for", async () => {
  const { call } = apiFixture();
  assert.equal((await call("GET", `/operations?host=${HERE}`)).status, 200);
  const response = await call("GET", `/operations?host=${numberedUuid(404)}`);
  assert.equal(response.status, 404);
  assert.match((await response.json()).detail, /there is no such host/);
});
