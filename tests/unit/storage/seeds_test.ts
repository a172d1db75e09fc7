import assert from "node:assert/strict";
import { readIso } from "../../support/iso_reader.ts";
import { SharedStorage } from "../../support/shared_storage.ts";

const VM = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
const NAMES = ["ci/", `ci/${VM}/`, `ci/${VM}/seed.iso`];

Deno.test("a seed holds the documents, and a new one replaces it", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  for (const text of ["first", "the second"]) {
    const documents = { "user-data": `#cloud-config\n# ${text}\n`, "meta-data": `instance-id: ${VM}\n` };
    await storage.writeSeed(VM, documents);
    const { rockRidge } = readIso(await Deno.readFile(shared.at(`/vms/ds/ci/${VM}/seed.iso`)));
    assert.equal(rockRidge.label, "cidata");
    assert.deepEqual(Object.fromEntries(rockRidge.files), documents);
    assert.deepEqual(await shared.names(), NAMES);
  }
});

Deno.test("a seed that cannot be written leaves the old one", async () => {
  await using shared = await SharedStorage.create();
  await shared.storage().writeSeed(VM, { "user-data": "old" });
  const failing = shared.storage({
    fault: (point) => {
      if (point === "seed.written") throw new Error("failed");
    },
  });
  await assert.rejects(failing.writeSeed(VM, { "user-data": "new" }), {
    kind: "storage",
    message: `Cannot write the cloud-init seed of VM ${VM}: failed`,
  });
  const { rockRidge } = readIso(await Deno.readFile(shared.at(`/vms/ds/ci/${VM}/seed.iso`)));
  assert.equal(rockRidge.files.get("user-data"), "old");
  assert.deepEqual(await shared.names(), NAMES);
});

Deno.test("deleting a seed removes its directory, leftovers of a crash too, and does not mind if there is none", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  await storage.deleteSeed(VM);
  await storage.writeSeed(VM, { "user-data": "" });
  await Deno.writeTextFile(shared.at(`/vms/ds/ci/${VM}/.seed.iso.tmp`), "half");
  await storage.deleteSeed(VM);
  await storage.deleteSeed(VM);
  assert.deepEqual(await shared.names(), ["ci/"]);
});

Deno.test("a seed is only for a UUID", async () => {
  await using shared = await SharedStorage.create();
  await assert.rejects(shared.storage().writeSeed("..", {}), { kind: "invalid" });
  await assert.rejects(shared.storage().deleteSeed("../x"), { kind: "invalid" });
});
