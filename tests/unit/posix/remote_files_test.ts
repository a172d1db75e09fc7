import assert from "node:assert/strict";
import { AtomicDirectory } from "../../../lib/posix/atomic_directory.ts";
import { until } from "../../../scripts/lab/until.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { Health } from "../../../lib/model/health.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { errnoCode } from "../../../lib/posix/errno.ts";
import type { Files } from "../../../lib/posix/files.ts";
import { LocalFiles } from "../../../lib/posix/local_files.ts";
import { RemoteFiles } from "../../../lib/posix/remote_files.ts";
import { run } from "../../support/run.ts";
import { Tree } from "../../../lib/posix/tree.ts";
import { TempDir } from "../../support/temp_dir.ts";

const HUNG_MS = 1_000;
/** More than are open at a time. */
const MANY = 40;

const PROGRAM = new URL("../../../main.ts", import.meta.url);

/** A directory as a storage. */
class Share implements AsyncDisposable {
  readonly health = new Health();
  readonly files: RemoteFiles;
  returns = 0;
  readonly defects: string[] = [];

  private constructor(readonly dir: TempDir, worker: () => Worker) {
    this.files = new RemoteFiles({
      root: dir.path,
      worker,
      health: this.health,
      log: { ...silentLogger, defect: (message, error) => this.defects.push(`${message}: ${error}`) },
      hungMs: HUNG_MS,
    });
    this.files.onReturn(() => this.returns++);
  }

  static async create(worker = () => new Worker(PROGRAM, { type: "module" })): Promise<Share> {
    return new Share(await TempDir.create(), worker);
  }

  /** A FIFO: who opens it to read hangs in open(2) until {@link release}. */
  async fifo(): Promise<string> {
    const path = this.dir.at("fifo");
    await run("mkfifo", path);
    return path;
  }

  /** Lets go of all who hang. */
  async release(path: string): Promise<void> {
    (await Deno.open(path, { write: true })).close();
  }

  async hangs(): Promise<string> {
    return await until(
      "the hang to be known",
      () => Promise.resolve(this.health.conditions[0]?.reason),
      20_000,
    );
  }

  async answers(): Promise<void> {
    await until(
      "the storage to answer again",
      () => Promise.resolve(this.files.refusal() === undefined || undefined),
      20_000,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.files[Symbol.dispose]();
    await this.dir[Symbol.asyncDispose]();
  }
}

async function failure(task: Promise<unknown>): Promise<Error> {
  return await task.then(() => assert.fail("it did not fail"), (error) => error);
}

Deno.test("a Worker brings what is found, what is absent, and errors by their names and kinds", async () => {
  await using share = await Share.create();
  const { dir, files } = share;
  const here = new LocalFiles();
  const content = new TextEncoder().encode("content");
  await files.write(dir.at("a"), content, 0o640);
  assert.deepEqual(await files.read(dir.at("a"), 100), content);
  assert.deepEqual(await files.lstat(dir.at("a")), await here.lstat(dir.at("a")));
  assert.deepEqual(await files.names(dir.path), ["a"]);
  assert.notEqual((await files.identity(dir.at("a")))?.inode, undefined);
  assert.equal(await files.lstat(dir.at("none")), undefined);
  assert.equal(await files.unlink(dir.at("none")), false);
  const failing: ((files: Files) => Promise<unknown>)[] = [
    (on) => on.create(dir.at("a"), 0o600),
    (on) => on.link(dir.at("none"), dir.at("b")),
    (on) => on.read(dir.at("a"), 3),
    (on) => on.read(dir.path, 3),
  ];
  for (const attempt of failing) {
    const [remote, local] = [await failure(attempt(files)), await failure(attempt(here))];
    assert.equal(remote.message, local.message);
    assert.notEqual(errnoCode(remote), undefined);
    assert.equal(errnoCode(remote), errnoCode(local));
    assert.equal(remote instanceof VirtxError && remote.kind, local instanceof VirtxError && local.kind);
  }
});

Deno.test("storage that answers nothing is known to hang: what reads is given up, the rest refused, until it answers", async () => {
  await using share = await Share.create();
  const { files, dir } = share;
  const fifo = await share.fifo();
  const reads = Array.from({ length: MANY }, () => failure(files.readStart(fifo, 1)));
  const reason = await share.hangs();
  assert.match(reason, new RegExp(`^storage ${dir.path} has not answered for \\d+ s$`));
  assert.deepEqual(share.health.conditions.map(({ blocking }) => blocking), [true]);
  for (const error of await Promise.all(reads)) {
    assert.ok(error instanceof VirtxError);
    assert.deepEqual([error.kind, error.retryAfterS], ["unavailable", 10]);
    assert.match(error.message, /^storage ".*" has not answered for \d+ s$/);
  }
  for (const refused of [files.lstat(dir.path), files.unlink(dir.at("a")), files.sync(dir.at("a"))]) {
    assert.equal((await failure(refused) as VirtxError).kind, "unavailable");
  }
  assert.equal(share.returns, 0);
  await share.release(fifo);
  await share.answers();
  assert.equal((await files.lstat(dir.path))?.isDirectory, true);
  assert.deepEqual([share.returns, share.health.conditions], [1, []]);
});

Deno.test("a write that hangs is never given up, but who waits for it is; reads are answered, other writes refused", async () => {
  await using share = await Share.create();
  const { files, dir } = share;
  const fifo = await share.fifo();
  let ended = false;
  const write = failure(files.syncDirectory(fifo)).finally(() => {
    ended = true;
  });
  const waiting = failure(files.whileAnswering(write, (reason) => `Not done yet: ${reason}`));
  assert.match(await share.hangs(), /has not finished a write for \d+ s$/);
  const told = await waiting;
  assert.ok(told instanceof VirtxError);
  assert.equal(told.kind, "timeout");
  assert.match(told.message, /^Not done yet: storage ".*" has not finished a write for \d+ s$/);
  assert.equal((await failure(files.create(dir.at("a"), 0o600)) as VirtxError).kind, "unavailable");
  assert.equal(await files.lstat(dir.at("a")), undefined);
  assert.equal(ended, false);
  await share.release(fifo);
  assert.equal(errnoCode(await write), "EINVAL"); // fsync(2) of a FIFO: what came in the end
  await share.answers();
  await files.create(dir.at("a"), 0o600);
  assert.equal(share.returns, 1);
});

Deno.test("a file that takes long to be synchronised does not count as storage that hangs", async () => {
  await using share = await Share.create();
  const { files, dir } = share;
  await files.create(dir.at("a"), 0o600);
  const fifo = await share.fifo();
  const began = performance.now();
  // open(2) of a FIFO for writing waits for a reader.
  const slow = failure(files.sync(fifo));
  await until(
    "longer than a hang takes to be known",
    () => files.lstat(dir.path).then(() => performance.now() > began + 2 * HUNG_MS || undefined),
    20_000,
  );
  assert.deepEqual(share.health.conditions, []);
  await files.sync(dir.at("a"));
  await files.readStart(fifo, 1);
  assert.equal(errnoCode(await slow), "EINVAL");
});

Deno.test("what is asked for before the Worker listens is not lost", async () => {
  const slow = URL.createObjectURL(
    new Blob([
      "await new Promise((resolve) => setTimeout(resolve, 300));",
      "onmessage = ({ data: { id } }) => postMessage({ id, value: { isDirectory: true } });",
      'postMessage("listening");',
    ]),
  );
  await using share = await Share.create(() => new Worker(slow, { type: "module" }));
  const asked = Array.from({ length: 3 }, () => share.files.lstat(share.dir.path));
  assert.deepEqual(await Promise.all(asked), Array(3).fill({ isDirectory: true }));
  URL.revokeObjectURL(slow);
});

Deno.test("a Worker that a defect ends is replaced, and what it had begun fails", async () => {
  const program = 'onmessage = () => { throw new Error("a defect"); }; postMessage("listening");';
  const broken = URL.createObjectURL(new Blob([program]));
  let started = 0;
  await using share = await Share.create(() =>
    new Worker(started++ === 0 ? broken : PROGRAM, { type: "module" })
  );
  const { files, dir } = share;
  const error = await failure(files.lstat(dir.path));
  assert.ok(error instanceof VirtxError);
  assert.equal(error.kind, "internal");
  assert.match(error.message, /has ended: .*a defect/);
  assert.deepEqual(share.defects, ["the worker of a storage has ended: Uncaught Error: a defect"]);
  assert.equal((await files.lstat(dir.path))?.isDirectory, true);
  URL.revokeObjectURL(broken);
});

Deno.test("what is not there since the storage is not, does not count as removed or moved", async () => {
  await using share = await Share.create();
  const { files, dir } = share;
  const id = dir.at("id");
  await files.writeOnce(id, new TextEncoder().encode("one"), 0o644);
  const { mountId, device, modified } = await files.mountedFile(id) ?? assert.fail("it cannot be looked at");
  files.restrictWrites({ path: id, mountId, device, modified });
  const records = new AtomicDirectory({ tree: new Tree(dir.path, files), directory: "records" });
  assert.equal(await records.remove("x"), false);
  await records.moveUnlessThere("x", "others");
  await records.write("x", () => new TextEncoder().encode("it is under way"));
  await Deno.rename(dir.at("records"), dir.at("elsewhere"));
  await Deno.rename(id, dir.at("elsewhere/id"));
  for (const attempt of [() => records.remove("x"), () => records.moveUnlessThere("x", "others")]) {
    assert.equal(errnoCode(await failure(attempt())), "ESTALE");
  }
  await Deno.rename(dir.at("elsewhere/id"), id);
  await Deno.rename(dir.at("elsewhere"), dir.at("records"));
  assert.equal(await records.remove("x"), true);
});

Deno.test("nothing is written where a file is not any more as it was found, but by the call that makes such a file", async () => {
  await using share = await Share.create();
  const { files, dir } = share;
  const content = new TextEncoder().encode("one");
  const path = dir.at("marks/id");
  await files.writeOnce(path, content, 0o644);
  await files.writeOnce(path, new TextEncoder().encode("two"), 0o644);
  assert.deepEqual(await files.read(path, 100), content);
  assert.deepEqual(await files.names(dir.at("marks")), ["id"]);
  const { mountId, device, modified } = await files.mountedFile(path) ??
    assert.fail("it cannot be looked at");
  files.restrictWrites({ path, mountId, device, modified });
  await files.mkdir(dir.at("a"), 0o755);
  await Deno.remove(path);
  const error = await failure(files.mkdir(dir.at("b"), 0o755));
  assert.ok(error instanceof VirtxError);
  assert.deepEqual([error.kind, errnoCode(error)], ["unavailable", "ESTALE"]);
  assert.deepEqual((await files.directories(dir.path)).sort(), ["a", "marks"]);
  const refusal = new VirtxError("unavailable", "it is not there");
  files.restrictWrites(refusal);
  assert.equal(await failure(files.unlink(dir.at("a"))), refusal);
  await files.writeOnce(path, content, 0o644);
});
