import assert from "node:assert/strict";
import type { VirtxError } from "../../../lib/model/error.ts";
import { Health } from "../../../lib/model/health.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import type { ToldStorage } from "../../../lib/model/told_storage.ts";
import { PosixError } from "../../../lib/posix/errno.ts";
import type { WriteGuard } from "../../../lib/posix/files_port.ts";
import { LocalFiles } from "../../../lib/posix/local_files.ts";
import type { Libc, MountedFile } from "../../../lib/posix/libc.ts";
import { type FoundStorage, judgeStorage, StorageMount } from "../../../lib/storage/mount.ts";
import { FORMAT_FILE } from "../../../lib/storage/storage_format.ts";
import { ID_FILE } from "../../../lib/storage/storage_id.ts";
import { StorageMemory } from "../../../lib/storage/storage_memory.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const A = numberedUuid(1);
const B = numberedUuid(2);

const FOUND: FoundStorage = { id: undefined, mounted: false, imagesMounted: false, readOnly: false };
const USED = { id: A, mounted: true, imagesMounted: false };
const TOLD: readonly ToldStorage[] = [{ host: "virt2", id: B }];

/** What mount(8) would do to a directory, as far as it is seen from below. */
class Machine {
  mounts = new Map<string, bigint>();
  readOnly = false;
  /** What every look at the storage fails with. */
  dead: string | undefined;

  readonly libc: Pick<Libc, "identity" | "mountedFile" | "availableBytes" | "isReadOnly"> = {
    identity: () => Promise.resolve(undefined),
    availableBytes: () => Promise.resolve(undefined),
    isReadOnly: () => Promise.resolve(this.readOnly),
    mountedFile: async (path): Promise<MountedFile | undefined> => {
      const info = await Deno.stat(path).catch(() => undefined);
      if (!info) return undefined;
      const place = [...this.mounts.keys()].filter((at) => path.startsWith(at)).sort().at(-1) ?? "";
      return {
        device: "0:1",
        inode: BigInt(info.ino ?? 0),
        bytes: BigInt(info.size),
        born: undefined,
        mountId: this.mounts.get(place) ?? 0n,
        isMountRoot: path === `${place}/.`,
        modified: BigInt(info.mtime?.getTime() ?? 0),
      };
    },
  };

  files(): LocalFiles {
    const files = new LocalFiles(this.libc);
    const lstat = files.lstat.bind(files);
    files.lstat = (path) => {
      if (this.dead === undefined) return lstat(path);
      return Promise.reject(new PosixError(this.dead, "it is dead", "storage"));
    };
    return files;
  }
}

/** A host, whose /vms is a link, so that a test can lead it elsewhere as a mount does. */
class Host implements AsyncDisposable {
  readonly machine = new Machine();
  readonly health = new Health();
  told: readonly ToldStorage[] = [];
  /** What the others know of it. */
  telling: string | undefined;
  writes: WriteGuard | VirtxError | undefined;
  returns = 0;
  mount: StorageMount;

  private constructor(readonly dir: TempDir) {
    this.mount = this.start();
  }

  /** With `empty` at its /vms, and two storages beside. */
  static async create(): Promise<Host> {
    const dir = await TempDir.create();
    for (const name of ["empty", "one", "two"]) await Deno.mkdir(dir.at(`${name}/ds`), { recursive: true });
    const host = new Host(dir);
    await host.show("empty");
    return host;
  }

  get memory(): StorageMemory {
    return new StorageMemory(this.dir.at("state/storage.json"));
  }

  /** Has this at /vms from now on, mounted unless it is the directory below. */
  async show(name: string): Promise<void> {
    const path = this.dir.at("vms");
    await Deno.remove(path).catch(() => {});
    await Deno.symlink(name, path);
    this.machine.mounts.clear();
    if (name !== "empty") this.machine.mounts.set(path, BigInt(name.length));
  }

  /** Another life of virtxd. */
  start(): StorageMount {
    this.mount?.[Symbol.dispose]();
    this.mount = new StorageMount({
      root: this.dir.at("vms"),
      host: "virt1",
      files: this.machine.files(),
      restrictWrites: (to) => this.writes = to,
      memory: this.memory,
      told: () => Promise.resolve(this.told),
      tell: (id) => this.telling = id,
      clock: () => 1,
      health: this.health,
      log: silentLogger,
    });
    this.mount.onReturn(() => this.returns++);
    return this.mount;
  }

  async refused(reason: RegExp): Promise<void> {
    const refusal = await this.mount.check();
    assert.match(refusal?.message ?? "it was not refused", reason);
    assert.equal(refusal?.kind, "unavailable");
    assert.equal(this.writes, refusal);
    const [condition] = this.health.conditions;
    assert.match(condition?.reason ?? "", reason);
    assert.equal(condition?.blocking, true);
  }

  async good(): Promise<string> {
    assert.equal(await this.mount.check(), undefined);
    assert.deepEqual(this.health.conditions, []);
    assert.ok(this.writes && "path" in this.writes);
    return this.mount.id ?? assert.fail("it has no id");
  }

  names(name: string): string[] {
    return Array.from(Deno.readDirSync(this.dir.at(name)), (entry) => entry.name).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.mount[Symbol.dispose]();
    await this.dir[Symbol.asyncDispose]();
  }
}

function judged(found: Partial<FoundStorage> | undefined, remembered = false, told = false): string {
  const verdict = judgeStorage(
    "/vms",
    found && { ...FOUND, ...found },
    remembered ? USED : undefined,
    told ? TOLD : [],
  );
  return "id" in verdict ? verdict.id : "isNew" in verdict ? "new" : verdict.reason;
}

Deno.test("what is found is the storage, a new one, or not to be written to, and why", () => {
  assert.equal(judged({}), "new");
  assert.match(judged({}, false, true), /^\/vms is not the cluster's storage, which is .*2 on virt2: is it/);
  assert.equal(judged({ id: A }, false, true), A);
  assert.equal(judged({ id: A, mounted: true }, true), A);
  assert.match(judged({}, true), /^\/vms is not the storage .*1 that this host used: is it mounted\?$/);
  assert.match(
    judged({ id: B, mounted: true }, true),
    /^\/vms is not the storage .*1 that .*, but .*2: is it/,
  );
  assert.match(judged({ id: A }, true), /not mounted at \/vms any more/);
  assert.match(judged({ id: A, mounted: true, readOnly: true }, true), /is mounted read-only/);
  assert.match(judged(undefined), /has no directory ds/);
  assert.match(judged({ flaw: "is not JSON" }), /storage\.json is not JSON/);
  assert.match(judged({ id: A, formatFlaw: "says format 2" }), /^\/vms\/\.virtxd\/format says format 2/);
  assert.match(judged({ formatFlaw: "says format 2" }), /says format 2/); // a new one, too
  assert.match(judged({ id: B, mounted: true, formatFlaw: "says format 2" }, true), /is not the storage/);
});

Deno.test("new storage gets an id once, whoever comes first, and the host remembers it", async () => {
  await using host = await Host.create();
  await using other = await Host.create();
  await host.show("one");
  await Deno.remove(other.dir.at("one"), { recursive: true });
  await Deno.symlink(host.dir.at("one"), other.dir.at("one"));
  await other.show("one");
  const [id, same] = await Promise.all([host.good(), other.good()]);
  assert.equal(id, same);
  assert.deepEqual(host.names("one/.virtxd"), ["storage.json"]);
  assert.deepEqual(await host.memory.read(), { id, mounted: true, imagesMounted: false });
  const { mode } = await Deno.stat(host.memory.path);
  assert.equal((mode ?? 0) & 0o777, 0o600);
  host.start();
  assert.equal(await host.good(), id);
});

Deno.test("where the mount is gone nothing is changed, after a restart neither, until it is back", async () => {
  await using host = await Host.create();
  await host.show("one");
  const id = await host.good();
  await host.show("empty");
  await host.refused(/is not the storage .* that this host used: is it mounted\?/);
  host.start();
  await host.refused(/is not the storage .* that this host used: is it mounted\?/);
  await host.show("two");
  await host.refused(/is not the storage/);
  assert.deepEqual([host.names("empty"), host.names("two")], [["ds"], ["ds"]]);
  assert.equal(host.returns, 0);
  await host.show("one");
  assert.equal(await host.good(), id);
  assert.equal(host.returns, 1);
});

Deno.test("a copy of the storage in the directory below is not the storage", async () => {
  await using host = await Host.create();
  await host.show("one");
  await host.good();
  await Deno.mkdir(host.dir.at("empty/.virtxd"));
  await Deno.copyFile(host.dir.at(`one/${ID_FILE}`), host.dir.at(`empty/${ID_FILE}`));
  await host.show("empty");
  await host.refused(/is not mounted at .*vms any more/);
});

Deno.test("storage that is dead or read-only is told with the reason", async () => {
  await using host = await Host.create();
  await host.show("one");
  await host.good();
  host.machine.dead = "ESTALE";
  await host.refused(/cannot be used: it is dead/);
  host.machine.dead = undefined;
  host.machine.readOnly = true;
  await host.refused(/read-only/);
  host.machine.readOnly = false;
  await host.good();
});

Deno.test("storage that a later version keeps, or nobody knows which, is not changed until that is over", async () => {
  await using host = await Host.create();
  await host.show("one");
  await host.good();
  const format = host.dir.at(`one/${FORMAT_FILE}`);
  const newer = /format says format 2, and the virtxd of host virt1 writes 1: install a later version there/;
  for (
    const [content, reason] of [
      ["2\n", newer],
      ["", /has no format number in it/],
      ["two", /has no format number in it/],
      ["0", /has no format number in it/],
      ["-1", /has no format number in it/],
      ["2 1", /has no format number in it/],
      ["9".repeat(5_000), /./],
    ] as const
  ) {
    await Deno.writeTextFile(format, content);
    await host.refused(reason);
  }
  await Deno.remove(format);
  await Deno.mkdir(format);
  await host.refused(/cannot be used/);
  await Deno.remove(format);
  await Deno.writeTextFile(format, "2\n");
  host.start();
  await host.refused(newer);
  await Deno.writeTextFile(format, "1\n");
  host.returns = 0;
  await host.good();
  assert.equal(host.returns, 1);
  host.start();
  await host.good();
});

Deno.test("new storage that a later version has begun gets no id of this one", async () => {
  await using host = await Host.create();
  await host.show("one");
  await Deno.mkdir(host.dir.at("one/.virtxd"));
  await Deno.writeTextFile(host.dir.at(`one/${FORMAT_FILE}`), "7\n");
  await host.refused(/says format 7/);
  assert.deepEqual(host.names("one/.virtxd"), ["format"]);
});

Deno.test("in a cluster that has storage an empty directory is none; of a host alone it is", async () => {
  await using host = await Host.create();
  host.told = TOLD;
  await host.refused(/is not the cluster's storage/);
  assert.deepEqual(host.names("empty"), ["ds"]);
  host.told = [];
  await host.good();
});

Deno.test("who has replaced the storage removes what the host remembers", async () => {
  await using host = await Host.create();
  await host.show("one");
  const id = await host.good();
  await host.show("two");
  await host.refused(
    /is not the storage .* \(if it was replaced on purpose, remove .*storage\.json on each host that had the other one\)/,
  );
  assert.equal(host.telling, id);
  await Deno.remove(host.memory.path);
  // On another host nobody has removed it yet; so that the two do not wait for each other, this one stops telling of it.
  host.told = [{ host: "virt2", id }];
  await host.refused(/is not the cluster's storage/);
  assert.equal(host.telling, undefined);
  host.told = [];
  const other = await host.good();
  assert.notEqual(other, id);
  assert.equal(host.telling, other);
});

Deno.test("a host whose mount fails at its start tells the others which storage it remembers", async () => {
  await using host = await Host.create();
  await host.show("one");
  const id = await host.good();
  host.telling = undefined;
  await host.show("empty");
  host.start();
  await host.refused(/is not the storage/);
  assert.equal(host.telling, id);
});

Deno.test("what the host remembers of its storage cannot be read: that is told, and nothing is changed", async () => {
  await using host = await Host.create();
  await Deno.mkdir(host.memory.path, { recursive: true });
  await host.refused(/cannot be used: Cannot read .*storage\.json, which says what storage this host has: /);
  await Deno.remove(host.memory.path);
  await host.good();
});
