import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { until } from "../../../scripts/lab/until.ts";
import { Registry } from "../../../lib/registry/registry.ts";
import { localTree } from "../../support/local_tree.ts";
import { runKilledAt } from "../../support/killed.ts";
import { SmallFileSystem } from "../../support/loop_device.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { changesBelow } from "../../support/traced.ts";

const HOST = "11111111-1111-4111-8111-111111111111";
const VM = "22222222-2222-4222-8222-22222222abcd";
const OTHER = "33333333-3333-4333-8333-333333333333";
/** No fault point has this number. */
const NEVER = "0";
const program = fileURLToPath(new URL("./registry_program.ts", import.meta.url));

Deno.test("a definition lies where the contract wants it, with its mode, and is read back", async () => {
  await using dir = await TempDir.create();
  const registry = new Registry({ tree: localTree(dir.path), hostUuid: HOST });
  assert.equal(await registry.read(VM), undefined);
  await registry.write(VM, "<domain>ä</domain>\n");
  const file = dir.at(`xml/${HOST}/${VM}.xml`);
  assert.equal(await Deno.readTextFile(file), "<domain>ä</domain>\n");
  assert.equal(((await Deno.stat(file)).mode ?? 0) & 0o777, 0o640);
  assert.equal(((await Deno.stat(dir.at(`xml/${HOST}`))).mode ?? 0) & 0o777, 0o750);
  assert.equal(await registry.read(VM), "<domain>ä</domain>\n");
  await registry.remove(VM);
  await registry.remove(VM);
  assert.equal(await registry.read(VM), undefined);
});

Deno.test("only files that are named by a UUID are definitions", async () => {
  await using dir = await TempDir.create();
  const registry = new Registry({ tree: localTree(dir.path), hostUuid: HOST });
  assert.deepEqual(await registry.list(), []);
  await registry.write(OTHER, "<domain/>");
  await registry.write(VM, "<domain/>");
  for (const name of ["lockid", `.${VM}.xml.tmp`, `${VM.toUpperCase()}.xml`, `${VM}.json`, "x.xml", ".xml"]) {
    await Deno.writeTextFile(dir.at(`xml/${HOST}/${name}`), "");
  }
  await Deno.mkdir(dir.at(`xml/${HOST}/44444444-4444-4444-8444-444444444444.xml`));
  assert.deepEqual(await registry.list(), [VM, OTHER]);
  assert.equal(await registry.sweep(), 1);
});

Deno.test("what is not a UUID never becomes a path", async () => {
  await using dir = await TempDir.create();
  const registry = new Registry({ tree: localTree(dir.path), hostUuid: HOST });
  for (const uuid of ["", "..", `../${HOST}/${VM}`, VM.toUpperCase(), `${VM}\0`]) {
    await assert.rejects(registry.write(uuid, ""), { kind: "invalid" });
    await assert.rejects(registry.read(uuid), { kind: "invalid" });
    await assert.rejects(registry.remove(uuid), { kind: "invalid" });
  }
  assert.throws(() => new Registry({ tree: localTree(dir.path), hostUuid: "../x" }), { kind: "internal" });
});

Deno.test("definitions that are too large or not text are refused, naming the VM and the file", async () => {
  await using dir = await TempDir.create();
  const registry = new Registry({ tree: localTree(dir.path), hostUuid: HOST });
  await registry.write(VM, "x".repeat((4 << 20) + 1));
  const message = new RegExp(
    `^Cannot read the definition of VM ${VM} from the registry: .*larger than 4194304 bytes`,
  );
  await assert.rejects(registry.read(VM), { kind: "storage", message });
  await Deno.writeFile(dir.at(`xml/${HOST}/${VM}.xml`), Uint8Array.of(0xff, 0xfe));
  await assert.rejects(registry.read(VM), {
    kind: "storage",
    message: new RegExp(`registry: "${dir.at(`xml/${HOST}/${VM}.xml`)}" is not text in UTF-8`),
  });
});

Deno.test("a full file system is told, and the old definition stays", async () => {
  await using small = await SmallFileSystem.create(8);
  const registry = new Registry({ tree: localTree(small.path), hostUuid: HOST });
  await registry.write(VM, "<old/>");
  await assert.rejects(registry.write(VM, "x".repeat(16 << 20)), {
    kind: "storage",
    message: `Cannot write the definition of VM ${VM} to the registry: No space left on device (ENOSPC)`,
  });
  assert.equal(await registry.read(VM), "<old/>");
  assert.equal(await registry.sweep(), 0);
});

Deno.test("without the shared storage nothing is written below its mount point", async () => {
  await using dir = await TempDir.create();
  const registry = new Registry({ tree: localTree(dir.at("vms")), hostUuid: HOST });
  await assert.rejects(registry.write(VM, "<domain/>"), {
    kind: "storage",
    message: /is the shared storage mounted/,
  });
  await assert.rejects(Deno.lstat(dir.at("vms")), Deno.errors.NotFound);
});

Deno.test("killed at any step of a write or a removal, a definition is the old or the new one", async () => {
  const seen: [string, string | undefined][] = [];
  for (let n = 1;; n++) {
    await using dir = await TempDir.create();
    const registry = new Registry({ tree: localTree(dir.path), hostUuid: HOST });
    await registry.write(VM, "old");
    const point = await runKilledAt(n, program, dir.path, HOST, VM);
    if (point === undefined) break;
    assert.deepEqual(await registry.list(), point === "registry.removed" ? [] : [VM]);
    seen.push([point, await registry.read(VM)]);
    assert.equal(await registry.sweep(), point === "registry.written" ? 1 : 0);
  }
  assert.deepEqual(seen, [
    ["registry.written", "old"],
    ["registry.renamed", "new"],
    ["registry.removed", undefined],
  ]);
});

Deno.test("content is durable before the name that leads to it, and the directory before the answer", async () => {
  await using dir = await TempDir.create();
  const own = `xml/${HOST}`;
  const temp = `${own}/.${VM}.xml.tmp`;
  assert.deepEqual(await changesBelow(dir.path, program, NEVER, dir.path, HOST, VM), [
    "mkdir xml",
    `mkdir ${own}`,
    "fsync xml",
    `write ${temp}`,
    `fsync ${temp}`,
    `rename ${temp} ${own}/${VM}.xml`,
    `fsync ${own}`,
    `unlink ${own}/${VM}.xml`,
    `fsync ${own}`,
  ]);
});

Deno.test("while storage takes its time, what is written of a VM meanwhile is written once, and in order with its removal", async () => {
  await using dir = await TempDir.create();
  const began: string[] = [];
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const registry = new Registry({
    tree: localTree(dir.path),
    hostUuid: HOST,
    async fault(point) {
      began.push(point);
      await released;
    },
  });
  const first = registry.write(VM, "1");
  await until("the first to be under way", () => began.length > 0 || undefined, 10_000);
  const writes = [first, registry.write(VM, "2"), registry.write(VM, "3")];
  const removal = registry.remove(VM);
  const last = [registry.write(VM, "4"), registry.write(VM, "5")];
  release();
  await Promise.all([...writes, removal, ...last]);
  assert.equal(await registry.read(VM), "5");
  // 1, then 3 in place of 2, the removal, then 5 in place of 4.
  assert.deepEqual(began.map((point) => point.replace("registry.", "")), [
    ...["written", "renamed", "written", "renamed"],
    "removed",
    ...["written", "renamed"],
  ]);
});
