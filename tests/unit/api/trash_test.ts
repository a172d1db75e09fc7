import assert from "node:assert/strict";
import { VirtxError } from "../../../lib/model/error.ts";
import type { TrashedVm, TrashUseCases } from "../../../lib/vm/use_cases.ts";
import { apiFixture, HERE } from "../../support/api_fixture.ts";
import { hostEntry, numberedUuid } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const ID = numberedUuid(1);
const OTHER = numberedUuid(2000);

const ENTRY: TrashedVm = {
  id: ID,
  vm: numberedUuid(7),
  name: "web",
  host: HERE,
  deleted: 1_700_000_000_000,
  until: 1_700_086_400_000,
  definition: true,
  size: 12,
  files: [{ path: "/vms/ds/web/os.qcow2", state: "kept" }],
  busy: false,
  damage: "",
};

/** A trash with one entry, and what it was asked for. */
function trashOf(asked: unknown[]): TrashUseCases {
  return {
    hours: 24,
    list: () => Promise.resolve([ENTRY]),
    restore(id) {
      asked.push(["restore", id]);
      if (id !== ID) return Promise.reject(new VirtxError("not_found", "Cannot restore: no such entry"));
      return Promise.resolve({ vm: ENTRY.vm, files: ["/vms/ds/web/os.qcow2"], warnings: ["so it is"] });
    },
    empty(id, options) {
      asked.push(["empty", id, options]);
      if (options.force) return Promise.resolve();
      return Promise.reject(new VirtxError("conflict", "Cannot empty: another file"));
    },
    emptyAll: () => Promise.resolve({ emptied: [ID], left: [] }),
  };
}

Deno.test("the trash is listed, restored from and emptied, and says why it is not", async () => {
  const asked: unknown[] = [];
  const { call } = apiFixture({ trash: trashOf(asked) });
  const read = async (method: string, path: string, body?: unknown) => {
    const response = await call(method, path, body);
    const text = await response.text();
    return [response.status, text === "" ? undefined : JSON.parse(text)];
  };
  assert.deepEqual(await read("GET", "/trash"), [200, { hours: 24, items: [ENTRY] }]);
  assert.deepEqual(await read("POST", `/trash/${ID}/restore`), [200, {
    vm: ENTRY.vm,
    files: ["/vms/ds/web/os.qcow2"],
    warnings: ["so it is"],
  }]);
  assert.equal((await read("POST", `/trash/${OTHER}/restore`, { host: HERE }))[0], 404);
  assert.equal((await read("DELETE", `/trash/${ID}`))[0], 422);
  assert.equal((await read("DELETE", `/trash/${ID}?force=true`))[0], 204);
  assert.deepEqual(await read("DELETE", "/trash"), [200, { emptied: [ID], left: [] }]);
  assert.deepEqual(asked, [
    ["restore", ID],
    ["restore", OTHER],
    ["empty", ID, { force: false }],
    ["empty", ID, { force: true }],
  ]);
});

Deno.test("what the trash is asked for has to be right, and one host may be asked to answer", async () => {
  const asked: unknown[] = [];
  const { call, inventory } = apiFixture({ trash: trashOf(asked) });
  const status = async (method: string, path: string, body?: unknown) =>
    (await call(method, path, body)).status;
  assert.equal(await status("POST", "/trash/x/restore"), 400);
  assert.equal(await status("POST", `/trash/${ID}/restore`, { host: "virt2" }), 400);
  assert.equal(await status("DELETE", `/trash/${ID}?force=yes`), 400);
  assert.equal(await status("GET", "/trash?vm=web"), 400);
  assert.equal(await status("GET", `/trash?host=${OTHER}`), 404);
  assert.equal(await status("GET", `/trash?host=${HERE}`), 200);
  inventory.putHost(hostEntry({ uuid: OTHER }));
  assert.equal(await status("GET", `/trash?host=${OTHER}`), 503, "it is known, and cannot be reached");
  assert.deepEqual(asked, []);
});

Deno.test("a deletion tells until when it can be undone, answered at once or looked up later", async () => {
  const { call, vms } = apiFixture();
  const uuid = await (await call("POST", "/vms", { vmdef: SMALL_VMDEF, host: "" })).json();
  vms.outcome = { trash: { id: ID, until: ENTRY.until } };
  const deleted = await call("DELETE", `/vms/${uuid}`, { deletestorage: true, now: false });
  assert.deepEqual([deleted.status, deleted.headers.get("x-virtx-trash-until")], [204, String(ENTRY.until)]);
  const operation = await call("GET", `/operations/${deleted.headers.get("x-virtx-operation")}`);
  assert.deepEqual((await operation.json()).result, { trash: { id: ID, until: ENTRY.until } });
});
