import assert from "node:assert/strict";
import { DiskProvisioning } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { Storage } from "../../../lib/storage/storage.ts";
import { localTree } from "../../support/local_tree.ts";
import { LoopDevice, SmallFileSystem } from "../../support/loop_device.ts";
import { run } from "../../support/run.ts";
import { diskAt, SharedStorage } from "../../support/shared_storage.ts";
import { TempDir } from "../../support/temp_dir.ts";

const { thin, thick, none } = DiskProvisioning;

/** Creates and keeps a disk. */
async function make(storage: Storage, disk = diskAt("/vms/ds/a.qcow2")): Promise<void> {
  const created = await storage.plan(disk, "tag");
  await storage.provision(created, disk);
  await storage.commit(created);
}

for (const format of ["qcow2", "raw"] as const) {
  for (const [word, prov] of [["thin", thin], ["thick", thick]] as const) {
    Deno.test(`a ${word} ${format} disk is created with the size that was asked for, and found to be just that`, async () => {
      await using shared = await SharedStorage.create();
      const disk = diskAt(`/vms/ds/web/disk.${format}`, { prov, size: 24 });
      await make(shared.storage(), disk);
      const file = shared.at(disk.path);
      const info = JSON.parse(await run("qemu-img", "info", "--output=json", "-f", format, file));
      assert.equal(info["virtual-size"], 24 << 20);
      const facts = await shared.storage().inspect(disk);
      assert.deepEqual({ ...facts, physicalMiB: 0 }, {
        sizeMiB: 24,
        prov,
        format,
        physicalMiB: 0,
        dirty: false,
      });
      assert.ok(
        prov === thick ? facts.physicalMiB >= 24 : facts.physicalMiB <= 1,
        `${facts.physicalMiB} MiB`,
      );
      assert.equal(((await Deno.stat(file)).mode ?? 0) & 0o777, 0o600);
      assert.deepEqual(await shared.names(), ["web/", `web/disk.${format}`]);
    });
  }
}

Deno.test("nothing is created over a file or a symbolic link, and what was there stays", async () => {
  await using shared = await SharedStorage.create();
  await using elsewhere = await TempDir.create();
  await Deno.writeTextFile(shared.at("/vms/ds/a.qcow2"), "precious");
  await Deno.symlink(elsewhere.at("target"), shared.at("/vms/ds/b.qcow2"));
  for (const path of ["/vms/ds/a.qcow2", "/vms/ds/b.qcow2"]) {
    const message = `Cannot create disk "${path}": it already exists; without a size it is used as it is`;
    await assert.rejects(make(shared.storage(), diskAt(path)), { kind: "storage", message });
  }
  assert.equal(await Deno.readTextFile(shared.at("/vms/ds/a.qcow2")), "precious");
  assert.deepEqual(await shared.names(), ["a.qcow2", "b.qcow2"]);
  await assert.rejects(Deno.lstat(elsewhere.at("target")), Deno.errors.NotFound);
});

Deno.test("of two hosts that create one name at the same time one wins, and the other's undo leaves it alone", async () => {
  await using shared = await SharedStorage.create();
  const disk = diskAt("/vms/ds/new/a.qcow2");
  const hosts = ["host1", "host2"].map((tag) => ({ tag, storage: shared.storage() }));
  // Both come as far as having their images ready before either may link.
  const barrier = Promise.withResolvers<void>();
  let ready = 0;
  const outcomes = await Promise.all(hosts.map(async ({ tag }) => {
    const storage = shared.storage({
      fault: async (point) => {
        if (point !== "storage.created") return;
        if (++ready === hosts.length) barrier.resolve();
        await barrier.promise;
      },
    });
    const created = await storage.plan(disk, tag);
    try {
      await storage.provision(created, disk);
      return { created, storage, error: undefined };
    } catch (error) {
      return { created, storage, error };
    }
  }));
  const [winner] = outcomes.filter(({ error }) => error === undefined);
  const [loser] = outcomes.filter(({ error }) => error !== undefined);
  assert.ok(winner && loser);
  assert.match((loser.error as Error).message, /it already exists/);
  assert.equal((loser.error as VirtxError).kind, "storage");
  await loser.storage.undo(loser.created);
  await winner.storage.commit(winner.created);
  assert.deepEqual(await shared.names(), ["new/", "new/a.qcow2"]);
  assert.equal((await shared.storage().inspect(disk)).sizeMiB, 16);
});

Deno.test("a thick disk for which there is no room is refused with the sizes, and leaves nothing behind", async () => {
  await using shared = await SharedStorage.create();
  await using small = await SmallFileSystem.create(40);
  const storage = shared.storage({ tree: localTree(small.path, shared.libc) });
  await Deno.mkdir(`${small.path}/ds`);
  for (const format of ["qcow2", "raw"]) {
    const disk = diskAt(`/vms/ds/sub/big.${format}`, { prov: thick, size: 64 });
    await assert.rejects(make(storage, disk), (error: VirtxError) => {
      assert.equal(error.kind, "storage");
      assert.match(
        error.message,
        /^Cannot create disk "\/vms\/ds\/sub\/big\.\w+" \(64 MiB, thick\): .*No space left/,
      );
      const free = Number(/\((\d+) MiB are free\)$/.exec(error.message)?.[1]);
      assert.ok(free > 20 && free < 40, error.message);
      return true;
    });
    assert.deepEqual([...Deno.readDirSync(`${small.path}/ds`)], []);
  }
});

Deno.test("qemu-img is killed when the caller gives up or the time is over, and its temporary file is gone", async () => {
  await using shared = await SharedStorage.create();
  // A qemu-img that hangs, as one on a dead network file system does.
  const program = shared.dir.at("hanging-qemu-img");
  const pidFile = shared.dir.at("pid");
  await Deno.writeTextFile(
    program,
    `#!/bin/sh\necho $$ > ${pidFile}.new\nmv ${pidFile}.new ${pidFile}\nexec sleep 300\n`,
  );
  await Deno.chmod(program, 0o755);
  const disk = diskAt("/vms/ds/sub/a.qcow2");

  const attempt = async (timeoutMs: number, signal?: AbortSignal) => {
    const storage = shared.storage({ qemuImg: program, timeoutMs });
    await storage.provision(await storage.plan(disk, "tag"), disk, signal);
  };
  const assertGone = async () => {
    const pid = (await Deno.readTextFile(pidFile)).trim();
    await assert.rejects(Deno.lstat(`/proc/${pid}`), Deno.errors.NotFound);
    assert.deepEqual(await shared.names(), []);
    await Deno.remove(pidFile);
  };

  await assert.rejects(attempt(500), { kind: "timeout", message: /sub\/a\.qcow2".*longer than 500 ms/ });
  await assertGone();

  const giveUp = new AbortController();
  const attempted = attempt(60_000, giveUp.signal);
  attempted.catch(() => {});
  while (!await Deno.lstat(pidFile).then(() => true, () => false)) {
    await new Promise((wake) => setTimeout(wake, 5));
  }
  giveUp.abort();
  await assert.rejects(attempted, { kind: "cancelled", message: /it was cancelled/ });
  await assertGone();

  await assert.rejects(attempt(60_000, AbortSignal.abort()), { kind: "cancelled" });
  assert.deepEqual(await shared.names(), []);
});

Deno.test("a missing qemu-img is reported, with nothing left behind", async () => {
  await using shared = await SharedStorage.create();
  const missing = shared.storage({ qemuImg: shared.dir.at("no-qemu-img") });
  await assert.rejects(make(missing), {
    kind: "storage",
    message: /Cannot create disk "\/vms\/ds\/a\.qcow2".*no-qemu-img/,
  });
  assert.deepEqual(await shared.names(), []);
});

Deno.test("disks that cannot be created are refused before anything happens", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage({ blockDevices: ["/dev/loop0"] });
  for (
    const [disk, message] of [
      [diskAt("/dev/loop0"), /block devices are never created/],
      [diskAt("/vms/ds/a.iso"), /an ISO image cannot be created/],
      [diskAt("/vms/ds/a.raw", { prov: none }), /neither thin nor thick/],
      [diskAt("/vms/ds/a.raw", { size: 0 }), /size of 0 MiB/],
      [diskAt("/vms/ds/a.raw", { size: 1.5 }), /size of 1.5 MiB/],
      [diskAt("/vms/ds/a.raw", { size: 2 ** 31 }), /size of 2147483648 MiB/],
      [diskAt(`/vms/ds/${"a".repeat(240)}.raw`), /is not below/],
    ] as const
  ) {
    await assert.rejects(storage.plan(disk, "0123456789"), { kind: "invalid", message });
  }
  await assert.rejects(storage.plan(diskAt("/vms/ds/a.raw"), "../x"), { kind: "internal" });
  assert.deepEqual(await shared.names(), []);
});

Deno.test("no path leads out of /vms/ds: not by dots, nor protocols, nor a symbolic link on the way", async () => {
  await using shared = await SharedStorage.create();
  await using elsewhere = await TempDir.create();
  const storage = shared.storage();
  await Deno.writeTextFile(elsewhere.at("a.raw"), "x".repeat(1 << 20));
  await Deno.symlink(elsewhere.path, shared.at("/vms/ds/link"));
  await Deno.mkdir(shared.at("/vms/ds/sub"));
  await Deno.symlink("../sub", shared.at("/vms/ds/sub/link"));
  await Deno.symlink(elsewhere.at("a.raw"), shared.at("/vms/ds/b.raw"));
  const before = await shared.names();

  for (
    const path of [
      "/vms/ds/../a.raw",
      "/vms/ds/sub/../../a.raw",
      "/vms/ds//a.raw",
      "/vms/ds/./a.raw",
      "/vms/ds/a.raw/",
      "/vms/ds/a.raw\0",
      "/vms/ds/a\n.raw",
      "/vms/xml/a.raw",
      "/vms/dsa.raw",
      "/etc/a.raw",
      "vms/ds/a.raw",
      'json:{"driver":"file"}.raw',
      "nbd:localhost:10809.raw",
      "/vms/ds/a.vmdk",
      "/vms/ds/a",
      "/vms/ds/.raw",
      "/vms/ds/RAW.RAW",
      "/vms/ds/ci/6ba7b810-9dad-41d1-80b4-00c04fd430c8/seed.iso",
      "/vms/ds/.virtxd/a.raw",
      "/vms/ds/pool/.virtxd/trash/6ba7b810-9dad-41d1-80b4-00c04fd430c8/0.raw",
      "",
    ]
  ) {
    const disk = diskAt(path);
    await assert.rejects(storage.plan(disk, "tag"), { kind: "invalid" }, path);
    await assert.rejects(storage.inspect(disk), { kind: "invalid" }, path);
    await assert.rejects(storage.mark(path), { kind: "invalid" }, path);
  }
  for (const path of ["/vms/ds/link/a.raw", "/vms/ds/sub/link/a.raw"]) {
    const refusal = { kind: "storage", message: /link" is a symbolic link$/ };
    await assert.rejects(storage.plan(diskAt(path), "tag"), refusal);
    await assert.rejects(storage.inspect(diskAt(path)), refusal);
    await assert.rejects(storage.mark(path), refusal);
  }
  await assert.rejects(storage.inspect(diskAt("/vms/ds/b.raw")), {
    kind: "invalid",
    message: /not a regular file/,
  });
  await assert.rejects(storage.mark("/vms/ds/b.raw"), { kind: "invalid", message: /not a regular file/ });
  assert.deepEqual(await shared.names(), before);
  assert.equal((await Deno.stat(elsewhere.at("a.raw"))).size, 1 << 20);
});

Deno.test("without /vms/ds nothing is created on the disk below the mount point", async () => {
  await using shared = await SharedStorage.create();
  await Deno.remove(shared.at("/vms/ds"));
  const storage = shared.storage();
  const refusal = { kind: "storage", message: /does not exist: is the shared storage mounted\?/ };
  await assert.rejects(storage.plan(diskAt("/vms/ds/a.raw"), "tag"), refusal);
  await assert.rejects(storage.writeSeed("6ba7b810-9dad-41d1-80b4-00c04fd430c8", {}), refusal);
});

Deno.test("a block device is taken only if the configuration allows its path, and never created or deleted", async () => {
  await using shared = await SharedStorage.create();
  await using device = await LoopDevice.create(7);
  await Deno.writeFile(device.backing, new TextEncoder().encode("QFI\xfb precious"), {
    append: false,
    create: false,
  });
  await Deno.truncate(device.backing, 7 << 20);
  await run("losetup", "--set-capacity", device.path);
  const content = await Deno.readFile(device.backing);
  const disk = diskAt(device.path);
  const facts = { sizeMiB: 7, prov: none, format: "raw", physicalMiB: 7, dirty: false };

  for (const patterns of [[device.path], ["/dev/loop*"], ["/dev/null", device.path]]) {
    assert.deepEqual(await shared.storage({ blockDevices: patterns }).inspect(disk), facts);
  }
  for (
    const patterns of [[], ["/dev/loop"], ["/*"], ["/dev/lo.p*"], [`${device.path}0`], ["/dev/disk/by-id/*"]]
  ) {
    const message =
      `Cannot use disk "${device.path}": the configuration of this host does not allow this block device; --block-devices of virtxd would`;
    await assert.rejects(shared.storage({ blockDevices: patterns }).inspect(disk), {
      kind: "denied",
      message,
    });
  }
  const storage = shared.storage({ blockDevices: ["/dev/*"] });
  await assert.rejects(storage.inspect(diskAt("/dev/null")), {
    kind: "invalid",
    message: /not a block device/,
  });
  await assert.rejects(storage.inspect(diskAt("/dev/none")), { kind: "invalid", message: /does not exist/ });
  await assert.rejects(storage.mark(device.path), { kind: "invalid", message: /never deleted/ });
  assert.deepEqual(await Deno.readFile(device.backing), content);
});
