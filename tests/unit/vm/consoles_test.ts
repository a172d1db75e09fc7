import assert from "node:assert/strict";
import { DomainState } from "../../../lib/libvirt/constants.ts";
import type { Console, ConsoleEnd } from "../../../lib/libvirt/console.ts";
import type { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import { type ConsoleEnding, VmConsoles, type VmConsolesOptions } from "../../../lib/vm/consoles.ts";

const UUID = "6b0bbd2c-6ae1-4ef9-8b8c-02dbb7b2d6d4";
const HOST = "11111111-2222-4333-8444-555555555555";

/** How a console is said to have ended whose stream libvirt ends while it shows these states, the last one for ever. */
async function ending(states: readonly number[]): Promise<ConsoleEnding> {
  const left = [...states];
  const end: ConsoleEnd = { kind: "ended", reason: "the stream has ended" };
  const hypervisor: Pick<Hypervisor, "console" | "state" | "liveXml"> = {
    console: () => Promise.resolve({ ended: Promise.resolve(end) } as Console),
    state: () => Promise.resolve({ state: (left.length > 1 ? left.shift() : left[0]) ?? 0, reason: 1 }),
    liveXml: () => Promise.resolve("<domain/>"),
  };
  const consoles = new VmConsoles({
    hypervisor,
    monitor: { uuid: HOST, domain: () => ({}) } as unknown as VmConsolesOptions["monitor"],
    inventory: {
      vm: () => ({ name: "web1", host: HOST }),
      host: () => undefined,
    } as unknown as VmConsolesOptions["inventory"],
  });
  return await (await consoles.open(UUID, { force: false })).ended;
}

Deno.test("a console that ends shortly before libvirt sees its guest stop has ended because it stopped", async () => {
  const { running, shutoff } = DomainState;
  assert.deepEqual(await ending([running, running, running, shutoff]), {
    fate: "stopped",
    reason: 'VM "web1" has stopped',
  });
});

Deno.test("a console that ends while its guest runs on was taken by another tool", async () => {
  assert.equal((await ending([DomainState.running])).fate, "taken");
});
