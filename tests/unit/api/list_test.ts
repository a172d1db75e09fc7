import assert from "node:assert/strict";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import { type ApiFixture, apiFixture, HERE } from "../../support/api_fixture.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

function withVms(count: number): ApiFixture {
  const fixture = apiFixture();
  for (let at = 0; at < count; at++) {
    fixture.inventory.putVm(vmInfo({
      uuid: numberedUuid(at),
      name: `vm${String(at).padStart(3, "0")}`,
      host: HERE,
      runstate: at % 2 === 0 ? Runstate.running : Runstate.poweroff,
      vlanid: at % 3,
      custom: [{ name: "first", value: String(at) }, { name: "team", value: at % 2 === 0 ? "blue" : "red" }],
      ts: at,
    }));
  }
  return fixture;
}

/** What is said beside the prototype's fields of VMs that run on a host that is there. */
const WORTH = { lastrunstate: 4, cstate: 1, seen: 0 };

async function namesOf(fixture: ApiFixture, path: string): Promise<string[]> {
  const response = await fixture.call("GET", path);
  assert.equal(response.status, 200);
  return (await response.json()).items.map((item: { fields: { name: string } }) => item.fields.name);
}

Deno.test("VmList has the shape of the protocol, and the first custom field or an empty one", async () => {
  const fixture = withVms(1);
  fixture.inventory.putVm(vmInfo({ uuid: numberedUuid(9), name: "zzz", host: HERE }));
  assert.deepEqual(await (await fixture.call("GET", "/vms")).json(), {
    items: [{
      uuid: numberedUuid(0),
      fields: {
        name: "vm000",
        host: HERE,
        runstate: 4,
        vlanid: 0,
        custom: { name: "first", value: "0" },
        ts: 0,
        ...WORTH,
      },
    }, {
      uuid: numberedUuid(9),
      fields: {
        name: "zzz",
        host: HERE,
        runstate: 4,
        vlanid: 0,
        custom: { name: "", value: "" },
        ts: 1,
        ...WORTH,
      },
    }],
  });
});

Deno.test("HostList has the shape of the protocol", async () => {
  const { call, inventory } = apiFixture();
  const { def, cstate, ts } = hostEntry();
  inventory.putHost(hostEntry({ uuid: HERE, resources: { ...hostEntry().resources } }));
  assert.deepEqual(await (await call("GET", "/hosts")).json(), {
    items: [{
      uuid: HERE,
      fields: {
        name: def.name,
        cpuarch: def.cpuarch,
        cpudef: def.cpudef,
        cstate,
        memoryavailable: 0,
        hpavailable: 0,
        osid: "debian",
        osv: "12",
        ts,
        conditions: [],
        seen: 0,
        api: "",
      },
    }],
  });
});

Deno.test("all filters that are given must hold; enumerations go by name or number", async () => {
  const fixture = withVms(12);
  assert.deepEqual(await namesOf(fixture, "/vms?name=01"), ["vm001", "vm010", "vm011"]);
  assert.deepEqual(await namesOf(fixture, "/vms?runstate=running&vlanid=0"), ["vm000", "vm006"]);
  assert.deepEqual(await namesOf(fixture, "/vms?runstate=4&vlanid=0"), ["vm000", "vm006"]);
  assert.deepEqual(await namesOf(fixture, "/vms?custom.name=team&custom.value=red&ts=3"), ["vm001", "vm003"]);
  assert.deepEqual(await namesOf(fixture, `/vms?host=${numberedUuid(5)}`), []);
  assert.deepEqual(await namesOf(fixture, "/hosts?arch=x86_64&cstate=active&cores=8&osid=debian"), ["virt1"]);
  assert.deepEqual(await namesOf(fixture, "/hosts?cores=9"), []);
});

Deno.test("the custom field that is shown is the one that was asked for, now and not later", async () => {
  const fixture = withVms(1);
  const shown = async (path: string) =>
    (await (await fixture.call("GET", path)).json()).items[0].fields.custom.name;
  assert.equal(await shown("/vms"), "first");
  assert.equal(await shown("/vms?custom.name=team"), "team");
  assert.equal(await shown("/vms?name=vm"), "first");
});

Deno.test("pages follow one another by Link and by next, in any order, until there is none", async () => {
  const fixture = withVms(10);
  const seen: string[] = [];
  let path: string | undefined = "/vms?sort=-name&limit=4&runstate=running";
  while (path !== undefined) {
    const response = await fixture.call("GET", path);
    const { items, next } = await response.json();
    seen.push(...items.map((item: { fields: { name: string } }) => item.fields.name));
    const link: string | undefined = response.headers.get("link")?.match(/^<([^>]+)>; rel="next"$/)?.[1];
    assert.equal(new URLSearchParams(link?.split("?")[1]).get("cursor") ?? undefined, next);
    path = link;
  }
  assert.deepEqual(seen, ["vm008", "vm006", "vm004", "vm002", "vm000"]);
});

Deno.test("a list is not sent again to who has it, until something changes", async () => {
  const fixture = withVms(3);
  const first = await fixture.call("GET", "/vms");
  const etag = first.headers.get("etag") ?? "";
  const again = await fixture.call("GET", "/vms", undefined, {
    "if-none-match": `"old", ${etag.replace("W/", "")}`,
  });
  assert.equal(again.status, 304);
  assert.equal(again.headers.get("etag"), etag);
  assert.equal(again.body, null);
  fixture.inventory.putHost(hostEntry({ uuid: HERE, ts: 77 }));
  assert.equal((await fixture.call("GET", "/vms", undefined, { "if-none-match": etag })).status, 304);
  fixture.inventory.putVm(vmInfo({ uuid: numberedUuid(1), name: "renamed", host: HERE }));
  const changed = await fixture.call("GET", "/vms", undefined, { "if-none-match": etag });
  assert.equal(changed.status, 200);
  assert.match(await changed.text(), /renamed/);
});

Deno.test("how fresh an entry is is told anew every few seconds, though nothing else has changed", async () => {
  let now = 1_000;
  const fixture = apiFixture({ clock: () => now });
  fixture.inventory.putVm(vmInfo({ uuid: numberedUuid(1), host: HERE }));
  const seen = async (path: string) => (await (await fixture.call("GET", path)).json()).items[0].fields.seen;
  for (const path of ["/vms", "/hosts"]) {
    fixture.inventory.confirm(HERE, now);
    const before = await seen(path);
    assert.equal(before, now);
    now += 5_000;
    fixture.inventory.confirm(HERE, now);
    assert.equal(await seen(path), now);
  }
});

Deno.test("VMs of a host that has failed are unknown, and can be searched for by what is known", async () => {
  const fixture = withVms(4);
  fixture.inventory.setHostState(HERE, HostState.failed);
  assert.deepEqual(await namesOf(fixture, "/vms?runstate=running"), []);
  assert.equal((await namesOf(fixture, "/vms?runstate=none&cstate=failed")).length, 4);
  assert.deepEqual(await namesOf(fixture, "/vms?lastrunstate=running"), ["vm000", "vm002"]);
  assert.deepEqual(await namesOf(fixture, "/vms?cstate=active"), []);
});

Deno.test("another process never answers with the same entity tag", async () => {
  const [one, other] = [withVms(3), withVms(3)];
  const etag = async (fixture: ApiFixture) => (await fixture.call("GET", "/vms")).headers.get("etag");
  assert.notEqual(await etag(one), await etag(other));
});

Deno.test("the bodies that are kept are those of the query and of the present", async () => {
  const fixture = withVms(30);
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < 20; at++) {
      const name = `vm0${String(at).padStart(2, "0")}`;
      assert.deepEqual(await namesOf(fixture, `/vms?name=${name}`), [name]);
    }
    fixture.inventory.putVm(vmInfo({ uuid: numberedUuid(29), name: `other${round}`, host: HERE }));
    assert.deepEqual(await namesOf(fixture, "/vms?name=other"), [`other${round}`]);
  }
});
