import assert from "node:assert/strict";
import { fuzzApi } from "../../support/api_fuzz.ts";
import { apiFixture, HERE } from "../../support/api_fixture.ts";
import { numberedUuid, vmInfo } from "../../support/vm_info.ts";

Deno.test("5,000 random requests from the API's own document bring no defect, no stall and no undeclared answer", async () => {
  const { app, inventory, lines } = apiFixture();
  const known = [HERE, numberedUuid(1), numberedUuid(2)];
  inventory.putVm(vmInfo({ uuid: numberedUuid(1), host: HERE }));
  inventory.putVm(vmInfo({ uuid: numberedUuid(2), host: numberedUuid(2000) }));
  const send = (request: Request) => app.fetch(request);
  const tally = await fuzzApi({ send, base: "http://localhost:8080", runs: 5_000, known });
  assert.deepEqual(lines.filter((line) => line.level === "error"), []);
  // That the generator reaches deep: successes of every kind, and refusals by shape and by state.
  for (const status of [200, 201, 202, 204, 400, 403, 404, 415, 422]) {
    assert.ok((tally.get(status) ?? 0) > 0, `no request was answered with ${status}: ${[...tally]}`);
  }
});
