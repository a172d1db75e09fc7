import assert from "node:assert/strict";
import { runstateAfter, runstateOf } from "../../../lib/host/runstate.ts";
import { enumName, Runstate } from "../../../lib/model/enums.ts";

const { none, poweroff, startup, running, paused, migrating, terminating, pmsuspended, crashed } = Runstate;

Deno.test("each state and reason of libvirt has one run state", () => {
  // [virDomainState, reasons, run state], the reasons by their C enumerations
  const cases: [number, number[], Runstate][] = [
    [0, [0], none],
    [1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11], running],
    [1, [10], startup],
    [2, [0], running],
    [3, [0, 1, 3, 4, 5, 6, 7, 9, 13, 14], paused],
    [3, [12], migrating],
    [3, [8], terminating],
    [3, [10], crashed],
    [3, [2, 11], startup],
    [4, [0, 1], terminating],
    [5, [0, 1, 2, 4, 5, 6, 7, 8], poweroff],
    [5, [3], crashed],
    [6, [0, 1], crashed],
    [7, [0], pmsuspended],
    [99, [0], none],
  ];
  for (const [state, reasons, expected] of cases) {
    for (const reason of reasons) {
      assert.equal(
        runstateOf(state, reason),
        expected,
        `${state}/${reason} is ${enumName(Runstate, expected)}`,
      );
    }
  }
});

Deno.test("a lifecycle event tells a run state, or nothing where libvirt must be asked", () => {
  // [virDomainEventType, details, run state]
  const cases: [number, number[], Runstate | undefined][] = [
    [0, [0, 1, 2, 3], undefined],
    [1, [0, 1], undefined],
    [2, [0, 4], running],
    [2, [1, 2, 3], undefined],
    [3, [0, 2, 3, 4, 5, 6, 8], paused],
    [3, [1, 7], migrating],
    [4, [0, 1, 2, 4], running],
    [4, [3], startup],
    [5, [0, 1, 3, 4, 5, 6], poweroff],
    [5, [2], crashed],
    [6, [0, 1, 2], terminating],
    [7, [0, 1], pmsuspended],
    [8, [0, 1], crashed],
    [99, [0], undefined],
  ];
  for (const [event, details, expected] of cases) {
    for (const detail of details) assert.equal(runstateAfter(event, detail), expected, `${event}/${detail}`);
  }
});
