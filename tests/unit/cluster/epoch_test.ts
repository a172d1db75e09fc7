import assert from "node:assert/strict";
import { EpochFile } from "../../../lib/cluster/epoch.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { TempDir } from "../../support/temp_dir.ts";

Deno.test("each life is later than the one before, whatever the clock shows", async () => {
  await using directory = await TempDir.create();
  const path = `${directory.path}/epoch`;
  const begin = (clock: number) => new EpochFile(path, () => clock).next();
  assert.equal(await begin(1000), 1000);
  assert.equal(await begin(2000), 2000);
  assert.equal(await begin(2000), 2001);
  assert.equal(await begin(500), 2002);
  await new EpochFile(path, () => 0).remember(9000);
  assert.equal(await begin(500), 9001);
  await Deno.writeTextFile(path, "90");
  await Deno.truncate(path, 0); // as by a crash
  assert.equal(await begin(500), 500);
  await Deno.writeTextFile(path, "nonsense");
  assert.equal(await begin(600), 600);
});

Deno.test("an epoch that cannot be remembered is no epoch", async () => {
  await using directory = await TempDir.create();
  const file = new EpochFile(`${directory.path}/none/epoch`, () => 1);
  await assert.rejects(
    file.next(),
    (error: unknown) => error instanceof VirtxError && error.kind === "unavailable",
  );
});
