import assert from "node:assert/strict";
import { hostStateStyle, hostStateText, isInOrder } from "../../../../lib/cli/views/words.ts";
import { HostState } from "../../../../lib/model/enums.ts";

Deno.test("the state of a host tells what it is without, and is not in order then", () => {
  const of = (cstate: HostState, ...parts: string[]) => {
    const standing = { cstate, conditions: parts.map((part) => ({ part })) };
    return [hostStateText(standing), isInOrder(standing), hostStateStyle(standing)];
  };
  assert.deepEqual(of(HostState.active), ["active", true, "green"]);
  assert.deepEqual(of(HostState.active, "libvirt", "storage"), [
    "active, libvirt and storage away",
    false,
    "yellow",
  ]);
  assert.deepEqual(of(HostState.active, "serf"), ["active, serf away", false, "yellow"]);
  assert.deepEqual(of(HostState.failed, "serf"), ["failed", false, "red"]);
  // Hosts of earlier versions tell no conditions.
  assert.deepEqual(of(HostState.failed), ["failed", false, "red"]);
  assert.deepEqual(of(HostState.left), ["left", true, "dim"]);
});
