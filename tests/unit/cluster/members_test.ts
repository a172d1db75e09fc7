import assert from "node:assert/strict";
import { type HostMember, Members, requireUnique, TAGS, toldStorages } from "../../../lib/cluster/members.ts";
import type { Member } from "../../../lib/cluster/ports.ts";
import { HostState } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { type Logger, silentLogger } from "../../../lib/model/log.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const A = numberedUuid(1);
const B = numberedUuid(2);

function member(name: string, uuid: string | undefined, part: Partial<Member> = {}): Member {
  const tags = new Map([[TAGS.protocol, "2"], [TAGS.api, "9090"]] as [string, string][]);
  if (uuid !== undefined) tags.set(TAGS.uuid, uuid);
  return { name, address: "10.0.0.1", port: 7946, status: "alive", tags, ...part };
}

function namesOf(members: Members): string[] {
  return Array.from(members.hosts(), ({ peer }) => peer.name).sort();
}

function short(host: HostMember | undefined): string | undefined {
  return host && `${host.peer.name} ${host.cstate}`;
}

Deno.test("members that are hosts become peers; other members only count", () => {
  const members = new Members(silentLogger);
  const changes = members.replace([
    member("virt1", A, { address: "10.0.0.7" }),
    member("virt2", B, { tags: new Map([[TAGS.uuid, B]]) }),
    member("switch", undefined),
    member("odd", "no-uuid"),
    member("gone", undefined, { status: "failed" }),
  ]);
  assert.deepEqual(changes.map(({ uuid }) => uuid).sort(), [A, B]);
  assert.deepEqual(members.host(A), {
    peer: { uuid: A, name: "virt1", address: "10.0.0.7", port: 9090, prototype: false },
    cstate: HostState.active,
  });
  assert.deepEqual(members.host(B)?.peer, {
    uuid: B,
    name: "virt2",
    address: "10.0.0.1",
    port: 8080,
    prototype: true,
  });
  assert.equal(members.alive, 4);
});

Deno.test("hosts of earlier versions, which do not heed what is recorded on shared storage, are known by their tag", () => {
  const members = new Members(silentLogger);
  const tagged = (version: string) => new Map([[TAGS.uuid, A], [TAGS.protocol, version]]);
  for (const [version, earlier] of [["1", true], ["2", undefined], ["3", undefined], ["1", true]] as const) {
    members.update([member("virt1", A, { tags: tagged(version) })]);
    assert.equal(members.host(A)?.peer.earlier, earlier);
  }
});

Deno.test("each change is told once, with what was before", () => {
  const members = new Members(silentLogger);
  const told = (changes: ReturnType<Members["update"]>) =>
    changes.map(({ before, after }) => [short(before), short(after)]);
  const virt1 = member("virt1", A);
  assert.deepEqual(told(members.update([virt1])), [[undefined, "virt1 1"]]);
  assert.deepEqual(told(members.update([virt1])), []);
  const failed: Member = { ...virt1, status: "failed" };
  assert.deepEqual(told(members.update([failed])), [["virt1 1", "virt1 3"]]);
  assert.deepEqual(told(members.update([{ ...virt1, status: "left" }])), [["virt1 3", "virt1 2"]]);
  assert.deepEqual(told(members.update([virt1])), [["virt1 2", "virt1 1"]]);
  assert.deepEqual(told(members.update([{ ...virt1, address: "10.0.0.9" }])), [["virt1 1", "virt1 1"]]);
  assert.deepEqual(told(members.forget([virt1])), [["virt1 1", undefined]]);
  assert.equal(members.host(A), undefined);
  members.update([virt1]);
  assert.deepEqual(told(members.replace([member("virt2", B)])), [["virt1 1", undefined], [
    undefined,
    "virt2 1",
  ]]);
});

Deno.test("of two live members with one UUID the first stays, the other is refused once and loudly", () => {
  const errors: unknown[] = [];
  const log: Logger = {
    ...silentLogger,
    error: (message, fields) => errors.push([message, fields?.refused]),
  };
  const members = new Members(log);
  members.update([member("virt2", A)]);
  assert.deepEqual(members.update([member("virt1", A)]), []);
  members.update([member("virt3", B)]);
  assert.deepEqual(namesOf(members), ["virt2", "virt3"]);
  assert.deepEqual(errors, [["two members have the same host UUID, refusing one", "virt1"]]);
  assert.ok(members.isContested(A) && !members.isContested(B));

  members.update([member("virt2", A, { status: "failed" })]);
  assert.equal(short(members.host(A)), "virt1 1", "the one that is there stands for the host");
  assert.ok(!members.isContested(A));
  assert.equal(errors.length, 1);
});

Deno.test("hosts that see two at the same time choose the same", () => {
  const two = [member("virt2", A), member("virt1", A)];
  for (const list of [two, two.toReversed()]) {
    const members = new Members(silentLogger);
    members.replace(list);
    assert.deepEqual(namesOf(members), ["virt1"]);
  }
});

Deno.test("a host whose UUID another live member has must not join", () => {
  requireUnique([member("virt1", A), member("virt2", B)], "virt1", A);
  requireUnique([member("virt1", A), member("old", A, { status: "failed" })], "virt1", A);
  assert.throws(
    () => requireUnique([member("virt1", undefined), member("virt2", A)], "virt1", A),
    (error: unknown) =>
      error instanceof VirtxError && error.kind === "unavailable" &&
      error.message.includes('"virt2" at 10.0.0.1'),
  );
});

Deno.test("which storage a host has is told by a tag, also of one that is not there; what is no id is none", () => {
  const tagged = (name: string, uuid: string, storage: string) =>
    member(name, uuid, { status: "failed", tags: new Map([[TAGS.uuid, uuid], [TAGS.storage, storage]]) });
  const all = [
    tagged("virt1", A, B),
    tagged("virt2", B, A),
    tagged("virt3", numberedUuid(3), "\x1b[2J"),
    member("old", undefined),
  ];
  assert.deepEqual(toldStorages(all, A), [{ host: "virt2", id: A }]);
  const members = new Members(silentLogger);
  members.replace(all);
  assert.equal(members.host(B)?.peer.storage, A);
  assert.equal(members.host(numberedUuid(3))?.peer.storage, undefined);
  assert.deepEqual(members.update([tagged("virt2", B, B)]).map(({ uuid }) => uuid), [B]);
});

Deno.test("a host whose agent is started anew has failed until it has its tags again, and does not vanish", () => {
  const members = new Members(silentLogger);
  const told = (changes: ReturnType<Members["update"]>) =>
    changes.map(({ before, after }) => [short(before), short(after)]);
  const host = member("virt2", B, { tags: new Map([[TAGS.uuid, B]]) });
  const bare: Member = { ...host, tags: new Map() };
  members.replace([host]);
  assert.deepEqual(told(members.update([bare])), [["virt2 1", "virt2 3"]]);
  assert.deepEqual(told(members.replace([bare])), []);
  assert.equal(members.host(B)?.peer.prototype, true);
  assert.deepEqual(told(members.update([{ ...bare, status: "left" }])), [["virt2 3", "virt2 2"]]);
  assert.deepEqual(told(members.update([host])), [["virt2 2", "virt2 1"]]);
  members.update([bare]);
  const other = member("virt9", B);
  assert.equal(short(told(members.update([other])).length === 1 ? members.host(B) : undefined), "virt9 1");
  members.forget([other]);
  assert.deepEqual(told(members.forget([bare])), [["virt2 3", undefined]]);
  assert.deepEqual(told(members.update([bare])), []);
});
