import assert from "node:assert/strict";
import { DiskProvisioning } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { parseQcow2Header, QCOW2_HEADER_BYTES } from "../../../lib/storage/qcow2.ts";
import { run } from "../../support/run.ts";
import { diskAt, SharedStorage } from "../../support/shared_storage.ts";

/** Makes a qcow2 image by qemu-img with these further arguments, as /vms/ds/a.qcow2. */
async function image(shared: SharedStorage, ...more: string[]): Promise<string> {
  const path = shared.at("/vms/ds/a.qcow2");
  await run("qemu-img", "create", "-q", "-f", "qcow2", ...more, path, "64M");
  return path;
}

/** Inspects that image. */
function inspect(shared: SharedStorage) {
  return shared.storage().inspect(diskAt("/vms/ds/a.qcow2"));
}

/** Overwrites bytes of a file. */
async function patch(path: string, at: number, ...bytes: number[]): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.seek(at, Deno.SeekMode.Start);
  await file.write(Uint8Array.from(bytes));
}

for (
  const options of [
    "compat=0.10",
    "compat=1.1",
    "cluster_size=512",
    "cluster_size=2M",
    "extended_l2=on",
    "compression_type=zstd",
    "lazy_refcounts=on",
    "refcount_bits=64",
    "preallocation=metadata",
  ]
) {
  Deno.test(`a qcow2 image with ${options} is accepted, with its size`, async () => {
    await using shared = await SharedStorage.create();
    await image(shared, "-o", options);
    const { sizeMiB, prov, format, dirty } = await inspect(shared);
    const found = { sizeMiB, prov, format, dirty };
    assert.deepEqual(found, { sizeMiB: 64, prov: DiskProvisioning.thin, format: "qcow2", dirty: false });
  });
}

Deno.test("an image with internal snapshots is accepted", async () => {
  await using shared = await SharedStorage.create();
  const path = await image(shared);
  await run("qemu-img", "snapshot", "-c", "before", path);
  assert.equal((await inspect(shared)).sizeMiB, 64);
});

Deno.test("an image that makes QEMU open another file, or needs a key, is refused with the reason", async () => {
  await using shared = await SharedStorage.create();
  const base = shared.dir.at("base.raw");
  await run("qemu-img", "create", "-q", "-f", "raw", base, "64M");
  await image(shared, "-b", base, "-F", "raw");
  const refusal = (reason: RegExp) => ({ kind: "invalid", message: reason });
  await assert.rejects(
    inspect(shared),
    refusal(/^Cannot use disk "\/vms\/ds\/a\.qcow2": it has a backing file$/),
  );
  await image(shared, "-o", `data_file=${base}`);
  await assert.rejects(inspect(shared), refusal(/it has an external data file$/));
  // Not by LUKS: for that qemu-img measures the CPU first, and gives up now and then.
  const encrypted = await image(
    shared,
    "--object",
    "secret,id=s,data=x",
    "-o",
    "encrypt.format=aes,encrypt.key-secret=s",
  );
  await assert.rejects(inspect(shared), refusal(/it is encrypted$/));
  await patch(encrypted, 35, 2); // as it would be by LUKS
  await assert.rejects(inspect(shared), refusal(/it is encrypted$/));
});

Deno.test("an image that is marked dirty is told, one marked corrupt or with unknown features is refused", async () => {
  await using shared = await SharedStorage.create();
  const path = await image(shared, "-o", "lazy_refcounts=on");
  await patch(path, 79, 1);
  assert.equal((await inspect(shared)).dirty, true);
  await patch(path, 79, 2);
  await assert.rejects(inspect(shared), { kind: "invalid", message: /marked corrupt$/ });
  await patch(path, 79, 32);
  await assert.rejects(inspect(shared), {
    kind: "invalid",
    message: /features that are not known \(0x20\)$/,
  });
  await patch(path, 72, 0x80, 0, 0, 0, 0, 0, 0, 0);
  await assert.rejects(inspect(shared), { kind: "invalid", message: /not known \(0x8000000000000000\)$/ });
});

const FORGERIES: readonly (readonly [what: string, at: number, bytes: readonly number[], reason: RegExp])[] =
  [
    ["no magic", 0, [0], /no qcow2 header/],
    ["version 4", 7, [4], /version 4 is not known/],
    ["version 1", 7, [1], /version 1 is not known/],
    ["a backing file offset alone", 15, [1], /backing file/],
    ["a backing file size alone", 19, [1], /backing file/],
    ["clusters of 256 bytes", 23, [8], /cluster size/],
    ["clusters of 4 GiB", 23, [32], /cluster size/],
    ["size 0", 24, [0, 0, 0, 0, 0, 0, 0, 0], /size of 0 bytes/],
    ["a size of 2^63", 24, [0x80], /size of \d+ bytes is out of bounds/],
    ["a size that the L1 table cannot map", 27, [0xff], /L1 table does not fit/],
    ["an enormous L1 table", 36, [0xff, 0xff, 0xff, 0xff], /L1 table does not fit/],
    ["an L1 table outside the file", 40, [0, 0, 0x10], /L1 table is misplaced/],
    ["an L1 table over the header", 40, [0, 0, 0, 0, 0, 0, 0, 0], /L1 table is misplaced/],
    ["an L1 table between clusters", 47, [1], /L1 table is misplaced/],
    ["a refcount table outside the file", 48, [0, 0, 0x10], /refcount table is misplaced/],
    ["an enormous refcount table", 56, [0xff], /refcount table is out of bounds/],
    ["refcounts of 128 bits", 99, [7], /refcounts of/],
    ["a short header", 103, [72], /header length of 72/],
    ["a header larger than a cluster", 100, [1], /header length of/],
    ["a compression type that is not announced", 104, [1], /compression type/],
  ];

Deno.test("forged qcow2 headers are refused, each for its reason", async (t) => {
  await using shared = await SharedStorage.create();
  for (const [what, at, bytes, reason] of FORGERIES) {
    await t.step(what, async () => {
      const path = await image(shared);
      await patch(path, at, ...bytes);
      await assert.rejects(inspect(shared), { kind: "invalid", message: reason });
    });
  }
});

Deno.test("a header that is cut short anywhere is refused", async () => {
  await using shared = await SharedStorage.create();
  const path = await image(shared);
  const whole = await Deno.readFile(path);
  for (let length = 0; length < 104; length++) {
    assert.throws(() => parseQcow2Header(whole.slice(0, length), length), VirtxError, `${length} bytes`);
  }
  assert.equal(parseQcow2Header(whole.slice(0, QCOW2_HEADER_BYTES), whole.length).virtualBytes, 64 << 20);
});

Deno.test("a raw disk on which the guest wrote a qcow2 header is still raw, with the size of its file", async () => {
  await using shared = await SharedStorage.create();
  const image = shared.at("/vms/ds/a.raw");
  await run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", image, "1G");
  await Deno.truncate(image, 3 << 20);
  const facts = await shared.storage().inspect(diskAt("/vms/ds/a.raw"));
  assert.deepEqual([facts.format, facts.sizeMiB, facts.prov], ["raw", 3, DiskProvisioning.thin]);
});

Deno.test("an ISO image is raw, sizes are rounded up, and what is empty or no file is refused", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  await Deno.writeFile(shared.at("/vms/ds/cd.iso"), new Uint8Array(2048));
  const { format, sizeMiB, physicalMiB } = await storage.inspect(diskAt("/vms/ds/cd.iso"));
  assert.deepEqual({ format, sizeMiB, physicalMiB }, { format: "raw", sizeMiB: 1, physicalMiB: 1 });
  await Deno.writeFile(shared.at("/vms/ds/empty.raw"), new Uint8Array());
  await Deno.mkdir(shared.at("/vms/ds/dir.raw"));
  await run("mkfifo", shared.at("/vms/ds/fifo.raw"));
  for (
    const [name, message] of [
      ["empty.raw", /it is empty/],
      ["dir.raw", /not a regular file/],
      ["fifo.raw", /not a regular file/],
      ["none.raw", /it does not exist/],
      ["none/none.raw", /it does not exist/],
    ] as const
  ) {
    await assert.rejects(storage.inspect(diskAt(`/vms/ds/${name}`)), { kind: "invalid", message });
  }
});
