import assert from "node:assert/strict";
import { AnswerBudget } from "../../../lib/api/answer_budget.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { apiFixture, HERE } from "../../support/api_fixture.ts";
import { numberedUuid, vmInfo } from "../../support/vm_info.ts";

Deno.test("one client's requests that wait keep nobody else's out, and what is answered at once is answered", async () => {
  const { app, vms, inventory } = apiFixture();
  const vm = numberedUuid(1);
  inventory.putVm(vmInfo({ uuid: vm, host: HERE }));
  const gate = Promise.withResolvers<void>();
  vms.pause = async () => await gate.promise;
  const ask = async (client: string, method: string, path: string) =>
    await app.fetch(new Request(`http://localhost${path}`, { method }), {
      loopback: false,
      client: () => client,
    });
  const pause = (client: string) => ask(client, "POST", `/vms/${vm}/runstate/pause`);
  const waiting = Array.from({ length: 512 }, () => pause("192.0.2.1"));
  await new Promise((resolve) => setTimeout(resolve, 0));
  const refused = await pause("192.0.2.1");
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "2");
  for (const path of ["/readyz", `/vms/${vm}/runstate`, "/vms"]) {
    assert.equal((await ask("192.0.2.1", "GET", path)).status, 200, path);
  }
  const other = pause("192.0.2.2");
  gate.resolve();
  assert.equal((await other).status, 204);
  for (const answer of waiting) assert.equal((await answer).status, 204);
  assert.equal((await pause("192.0.2.1")).status, 204);
});

Deno.test("large answers that clients do not take are bounded for each, and given back when they are sent", async () => {
  const budget = new AnswerBudget();
  const sent = Array.from({ length: 16 }, () => Promise.withResolvers<void>());
  for (const { promise } of sent) budget.take("192.0.2.1", 4 << 20, promise);
  const refusal = (error: unknown) =>
    error instanceof VirtxError && error.kind === "unavailable" && error.retryAfterS !== undefined;
  assert.throws(() => budget.take("192.0.2.1", 4 << 20, Promise.resolve()), refusal);
  budget.take("192.0.2.2", 4 << 20, Promise.resolve());
  sent[0]?.resolve();
  sent[1]?.reject(new Error("the client has gone"));
  await new Promise((resolve) => setTimeout(resolve, 0));
  budget.take("192.0.2.1", 8 << 20, Promise.resolve());
});
