import assert from "node:assert/strict";
import { VirtxError } from "../../../lib/model/error.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { QemuImg } from "../../../lib/storage/qemu_img.ts";
import { until } from "../../../scripts/lab/until.ts";
import { TempDir } from "../../support/temp_dir.ts";

const isThere = () => Promise.resolve();
const IMAGE = { format: "qcow2", sizeMiB: 1, thick: false } as const;

Deno.test("one that does not end when it is killed keeps no other from running, and is waited for all the same", async () => {
  await using dir = await TempDir.create();
  // Like a process in the midst of a call that hangs, it has not ended until what it left behind lets go of its output.
  const program = dir.at("qemu-img");
  await Deno.writeTextFile(
    program,
    `#!/bin/sh
case "$*" in
  *stuck*) /bin/sh -c ': >"${dir.at("begun")}"; until [ -e "${
      dir.at("end")
    }" ]; do /bin/sleep 0.05; done' & wait ;;
  *) env >"${dir.at("environment")}"; pwd >>"${dir.at("environment")}" ;;
esac
`,
    { mode: 0o755 },
  );
  const qemuImg = new QemuImg({
    program,
    concurrency: 1,
    timeoutMs: 60_000,
    graceMs: 100,
    log: silentLogger,
  });
  const cancel = new AbortController();
  let ended = false;
  const stuck = qemuImg.create({ ...IMAGE, path: "/stuck" }, isThere, cancel.signal).finally(() => {
    ended = true;
  });
  const refused = assert.rejects(stuck, { kind: "cancelled" });
  const other = qemuImg.create({ ...IMAGE, path: "/other" }, isThere);
  await until("the first to have begun", () => Deno.stat(dir.at("begun")).catch(() => undefined), 30_000, 5);
  cancel.abort();
  await other;
  assert.equal(ended, false);
  await Deno.writeTextFile(dir.at("end"), "");
  await refused;
  // The shell itself adds PWD and the like.
  const environment = (await Deno.readTextFile(dir.at("environment"))).trim().split("\n");
  assert.deepEqual(environment.filter((line) => !/^(PWD|OLDPWD|SHLVL|_)=/.test(line)), ["LC_ALL=C", "/"]);
});

Deno.test("where the file is gone when its turn has come, or it was cancelled by then, nothing is run", async () => {
  await using dir = await TempDir.create();
  const program = dir.at("qemu-img");
  await Deno.writeTextFile(program, `#!/bin/sh\n: >"${dir.at("ran")}"\n`, { mode: 0o755 });
  const qemuImg = new QemuImg({ program, concurrency: 1, timeoutMs: 60_000, log: silentLogger });
  const image = { ...IMAGE, path: dir.at("image") };
  const gone = new VirtxError("unavailable", "it is gone");
  await assert.rejects(qemuImg.create(image, () => Promise.reject(gone)), { message: "it is gone" });
  const cancel = new AbortController();
  const cancelling = () => Promise.resolve(cancel.abort());
  await assert.rejects(qemuImg.create(image, cancelling, cancel.signal), { kind: "cancelled" });
  await assert.rejects(Deno.stat(dir.at("ran")), Deno.errors.NotFound);
  await qemuImg.create(image, isThere);
  await Deno.stat(dir.at("ran"));
});
