import assert from "node:assert/strict";
import { definitionTag } from "../../../lib/vm/definition_tag.ts";
import { HostState } from "../../../lib/model/enums.ts";
import { ApiCluster } from "../../support/api_cluster.ts";
import { apiFixture } from "../../support/api_fixture.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const BIGGER = { ...SMALL_VMDEF, memory: { ...SMALL_VMDEF.memory, total: 2048 } };

Deno.test("of two that have read a definition one changes it, and the other is told", async () => {
  const { call, vms } = apiFixture();
  const uuid = await vms.create({ vmdef: SMALL_VMDEF, host: "" });
  const put = (vmdef: unknown, tag?: string, query = "") =>
    call("PUT", `/vms/${uuid}${query}`, { vmdef, deletestorage: false }, tag ? { "if-match": tag } : {});
  const etag = async () => (await call("GET", `/vms/${uuid}`)).headers.get("etag") ?? "";

  const read = await etag();
  assert.match(read, /^"[0-9a-f]{32}"$/);
  assert.equal((await put(BIGGER, read)).status, 204);
  assert.notEqual(await etag(), read);
  const late = await put({ ...SMALL_VMDEF, vlanid: 7 }, read);
  assert.equal(late.status, 412);
  const problem = await late.json();
  assert.equal(problem.type, "urn:virtx:problem:stale");
  assert.match(problem.detail, /VM ".*": its definition has changed since it was read; read it again/);
  assert.equal((await vms.get(uuid)).def.memory.total, 2048);

  const now = await etag();
  for (const wrong of ['"zzz"', "zzz", `W/${now}`, "", '""']) {
    for (const query of ["", "?dry_run=true"]) {
      assert.equal((await put(BIGGER, wrong || " ", query)).status, 412);
    }
    const deleted = await call("DELETE", `/vms/${uuid}`, undefined, { "if-match": wrong });
    assert.equal(deleted.status, 412, wrong);
  }
  for (const right of [`"zzz", ${now}`, "*", undefined]) assert.equal((await put(BIGGER, right)).status, 204);
  assert.equal((await call("DELETE", `/vms/${uuid}`, undefined, { "if-match": now })).status, 204);
});

Deno.test("the tag is of the definition, not of the state or of what images are like; it is never an answer in itself", async () => {
  const { call, vms } = apiFixture();
  const uuid = await vms.create({ vmdef: SMALL_VMDEF, host: "" });
  const before = (await call("GET", `/vms/${uuid}`)).headers.get("etag") ?? "";
  await vms.boot(uuid, { cloud_init: [] });
  const again = await call("GET", `/vms/${uuid}`, undefined, { "if-none-match": before });
  assert.deepEqual([again.status, again.headers.get("etag")], [200, before]);
  const { osdisk } = SMALL_VMDEF;
  assert.equal(
    definitionTag({ ...SMALL_VMDEF, osdisk: { ...osdisk, size: osdisk.size + 1 } }),
    definitionTag(SMALL_VMDEF),
  );
});

Deno.test("the tag goes to the VM's host and back; what cannot heed it is not asked", async () => {
  await using cluster = await ApiCluster.start(2);
  const [a, b] = [cluster.host(0), cluster.host(1)];
  const uuid = await b.vms.create({ vmdef: SMALL_VMDEF, host: "" });
  cluster.gossip();
  const tag = (await a.send("GET", `/vms/${uuid}`)).headers.get("etag") ?? "";
  const put = (ifMatch: string) =>
    a.send("PUT", `/vms/${uuid}`, { vmdef: BIGGER, deletestorage: false }, {
      headers: { "if-match": ifMatch },
    });
  assert.equal((await put('"zzz"')).status, 412);
  assert.equal((await put(tag)).status, 204);
  const member = cluster.members.get(b.uuid);
  assert.ok(member);
  cluster.members.set(b.uuid, { peer: { ...member.peer, prototype: true }, cstate: HostState.active });
  const refused = await put(tag);
  assert.equal(refused.status, 501);
  assert.match((await refused.json()).detail, /"virt2" runs the prototype/);
});
