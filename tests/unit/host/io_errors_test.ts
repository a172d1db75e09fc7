import assert from "node:assert/strict";
import { IoErrors } from "../../../lib/host/io_errors.ts";
import { isPausedByIoError, tellsIoError } from "../../../lib/host/runstate.ts";
import { DomainState, LifecycleEvent } from "../../../lib/libvirt/constants.ts";
import { Health } from "../../../lib/model/health.ts";
import { type LogLine, recordingLogger } from "../../support/api_fixture.ts";

Deno.test("guests that were paused by an I/O error are told of until they go on", () => {
  const lines: LogLine[] = [];
  const health = new Health();
  const errors = new IoErrors(health, recordingLogger(lines));
  const reasons = () => health.conditions.map(({ reason }) => reason);
  for (let times = 0; times < 2; times++) errors.note("1", "web", true);
  assert.deepEqual(reasons(), ['VM "web" paused by an I/O error: see to the storage, then resume']);
  assert.deepEqual([errors.has("1"), errors.has("2")], [true, false]);
  for (let vm = 2; vm <= 7; vm++) errors.note(String(vm), `vm${vm}`, true);
  assert.match(reasons().join(), /^VMs "web", "vm2", "vm3", "vm4", "vm5" and 2 more paused by/);
  for (let vm = 1; vm <= 7; vm++) errors.note(String(vm), "x", false);
  assert.deepEqual([reasons(), errors.has("1")], [[], false]);
  assert.equal(lines.filter(({ level }) => level === "error").length, 7);
});

Deno.test("only a pause by QEMU for an I/O error counts as one", () => {
  const { paused, running, shutoff } = DomainState;
  // virDomainPausedReason: 1 user, 5 I/O error, 6 watchdog
  assert.deepEqual([1, 5, 6].map((reason) => isPausedByIoError(paused, reason)), [false, true, false]);
  for (const state of [running, shutoff]) assert.equal(isPausedByIoError(state, 5), false);
  // virDomainEventSuspendedDetailType: 0 paused, 2 I/O error, 3 watchdog
  const { suspended, resumed } = LifecycleEvent;
  assert.deepEqual([0, 2, 3].map((detail) => tellsIoError(suspended, detail)), [false, true, false]);
  assert.equal(tellsIoError(resumed, 2), false);
});
