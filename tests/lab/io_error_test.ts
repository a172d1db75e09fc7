import assert from "node:assert/strict";
import { until } from "../../scripts/lab/until.ts";
import { Runstate } from "../../lib/model/enums.ts";
import { CliHost } from "./support/cli_host.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

/** A boot sector that writes 64 sectors after the other to the disk that it was booted from (INT 13h, AH = 43h). */
const DISK_WRITER = "31c08ed88ec0bc007c8816217cbe247c8a16217cb80043cd136683062c7c40ebec00" +
  "6690100040000080000040000000" + "00000000";

Deno.test("a guest whose storage is full says so, and that resuming it did not help", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const desk = await CliHost.set(cluster);
  const [one, daemon] = [cluster.host(1), cluster.daemon(1)];
  const disk = "/vms/ds/small/full.raw";
  await one.exec(["mkdir", "-p", "/vms/ds/small"]);
  await one.exec(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", "/vms/ds/small"]);
  await one.exec(["truncate", "-s", "64M", disk]);
  const bytes = DISK_WRITER.replaceAll(/../g, "\\x$&");
  await desk.must(`printf '${bytes}' | dd of=${disk} conv=notrunc status=none`);
  await desk.must(`printf '\\x55\\xaa' | dd of=${disk} bs=1 seek=510 conv=notrunc status=none`);
  await desk.must(
    `virtx vm create --name full --host virt1 --memory 64MiB --cpu-model maximum --disk path=${disk}`,
  );
  const uuid = (await desk.must("virtx vm list -o 'template={uuid}'")).trim();
  await desk.must("virtx vm start full");
  await daemon.until(uuid, Runstate.paused);

  const ready = async () => (await daemon.json<{ degraded: string[] }>("GET", "/readyz")).degraded.join();
  assert.match(await ready(), /VM "full" paused by an I\/O error: see to the storage/);
  assert.match(await desk.must("virtx vm get full"), /State +paused by an I\/O error/);
  assert.match(await desk.must("virtx vm get full --server http://virt2:8080"), /paused by an I\/O error/);
  assert.match(daemon.process.output, /a guest is paused: a disk cannot be read or written/);

  const resumed = await desk.sh("virtx vm resume full");
  assert.equal(resumed.code, 5, resumed.stderr);
  assert.match(resumed.stderr, /Cannot resume VM "full": it was paused again by an I\/O error/);
  await daemon.until(uuid, Runstate.paused);

  await one.exec(["mount", "-o", "remount,size=100m", "/vms/ds/small"]);
  await desk.must("virtx vm resume full");
  await daemon.until(uuid, Runstate.running);
  await until("the condition to end", async () => await ready() === "" || undefined, 10_000);
  await desk.must("virtx vm kill full -y");
});
