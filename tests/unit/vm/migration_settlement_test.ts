import assert from "node:assert/strict";
import { MigrationType } from "../../../lib/model/enums.ts";
import type { MigrationRecord } from "../../../lib/registry/migration_record.ts";
import type { DomainLook } from "../../../lib/vm/migration_exchange.ts";
import { settlementOf } from "../../../lib/vm/migration_settlement.ts";
import { numberedUuid } from "../../support/vm_info.ts";

type Presence = DomainLook["presence"];

const PRESENCES: readonly Presence[] = [
  "absent",
  "off",
  "incoming",
  "running",
  "paused",
  "outgoing",
  "halved",
];

const RECORD: MigrationRecord = {
  vm: numberedUuid(1),
  source: numberedUuid(1000),
  target: numberedUuid(2000),
  running: true,
  held: false,
  startedAt: 1,
  options: {
    host: numberedUuid(2000),
    migration_type: MigrationType.live,
    deadline: 0,
    convergence: [],
    bandwidth: 0,
    connections: 0,
  },
};
const HELD: MigrationRecord = { ...RECORD, held: true };

function look(presence: Presence, migrating = false): DomainLook {
  return { presence, persistent: presence !== "absent" && presence !== "incoming", migrating };
}

function settle(here: Presence, there: Presence | undefined, record = RECORD): string {
  const settlement = settlementOf(record, look(here), there && look(there));
  if (settlement.kind !== "stayed") return settlement.kind;
  return `stayed${settlement.resume ? ", resumed" : ""}, left there: ${settlement.leftover}`;
}

Deno.test("while libvirt is at it, nothing is done", () => {
  for (const here of PRESENCES) {
    for (const there of PRESENCES) {
      assert.equal(settlementOf(RECORD, look(here, true), look(there)).kind, "wait");
    }
  }
});

/** What was found here and there in the lab, or may be, after something died; and what is done about it. */
const CASES: readonly [what: string, here: Presence, there: Presence | undefined, then: string][] = [
  ["the target's libvirtd or QEMU died", "running", "absent", "stayed, left there: none"],
  ["the same, and a definition was left", "running", "off", "stayed, left there: some"],
  ["the target's host died", "running", undefined, "stayed, left there: unknown"],
  ["the target's libvirt has not noticed yet", "running", "incoming", "stayed, left there: some"],
  ["the guest runs twice, by a lock that failed", "running", "running", "torn"],
  [
    "libvirtd of the source died before the target began to run it",
    "outgoing",
    "absent",
    "stayed, resumed, left there: none",
  ],
  ["the same, before the target's libvirt noticed", "outgoing", "incoming", "wait"],
  ["the same, and the target does not answer", "outgoing", undefined, "wait"],
  ["the target's reply that it runs was lost", "outgoing", "running", "release"],
  ["the same, and it was paused there since", "outgoing", "paused", "release"],
  ["it ran at the target, and is off there since", "outgoing", "off", "release"],
  ["a paused guest's migration failed", "paused", "absent", "stayed, left there: none"],
  ["a paused guest arrived, and the source was not told", "paused", "paused", "release"],
  ["QEMU of the source died", "off", "absent", "stayed, left there: none"],
  ["the source ended it and died before its definition was removed", "off", "running", "release"],
  ["a definition alone is on both", "off", "off", "release"],
  ["a definition alone, and the target does not answer", "off", undefined, "wait"],
  ["it is there, all is well", "absent", "running", "moved"],
  ["it was shut down there since", "absent", "off", "moved"],
  ["it is nowhere", "absent", "absent", "gone"],
  ["post-copy broke with the link", "halved", "halved", "rejoin"],
  ["post-copy broke with the target", "halved", "absent", "stayed, left there: none"],
  ["post-copy completed, and the source was not told", "halved", "running", "release"],
];

for (const [what, here, there, then] of CASES) {
  Deno.test(`${what}: ${here} here, ${there ?? "unknown"} there: ${then}`, () => {
    assert.equal(settle(here, there), then);
  });
}

Deno.test("what libvirt has said is complete needs no question, unless the guest is held there", () => {
  assert.equal(settlementOf(RECORD, look("absent"), undefined, true).kind, "moved");
  assert.equal(settlementOf(HELD, look("absent"), undefined, true).kind, "wait");
  assert.equal(settlementOf({ ...HELD, running: false }, look("absent"), undefined, true).kind, "moved");
});

Deno.test("a guest that is held at the target is started there only when there is none here", () => {
  assert.equal(settle("absent", "paused", HELD), "start");
  assert.equal(settle("running", "paused", HELD), "stayed, left there: some");
  assert.equal(settle("outgoing", "paused", HELD), "release");
});

Deno.test("in no situation may a guest come to run here while there could be one there", () => {
  for (const record of [RECORD, HELD]) {
    for (const here of PRESENCES) {
      for (const there of [undefined, ...PRESENCES]) {
        const settlement = settlementOf(record, look(here), there && look(there));
        if (settlement.kind === "stayed" && settlement.resume) {
          assert.equal(there, "absent");
        }
        if (settlement.kind === "start") assert.equal(here, "absent");
        if (settlement.kind === "release") {
          assert.notEqual(here, "running");
          assert.ok(there !== undefined && there !== "absent" && there !== "incoming", `${here} ${there}`);
        }
      }
    }
  }
});
