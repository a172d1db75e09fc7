import assert from "node:assert/strict";
import { until } from "../../../scripts/lab/until.ts";
import { DaemonProcess, daemonStorage } from "../../support/daemon_process.ts";

const PATIENCE_MS = 20_000;

async function status(url: string): Promise<number | undefined> {
  try {
    const response = await fetch(url);
    await response.body?.cancel();
    return response.status;
  } catch {
    return undefined; // nobody listens at the moment
  }
}

Deno.test("with few descriptors, more idle connections than there are of them neither end nor silence it", async () => {
  await using root = await daemonStorage();
  const path = root.at("virtxd.sock");
  await using daemon = DaemonProcess.spawn(root, ["--socket", path], ["prlimit", "--nofile=120:120"]);
  const address = await daemon.ready();
  const port = Number(new URL(address).port);
  const places: readonly (Deno.ConnectOptions | Deno.UnixConnectOptions)[] = [
    { port },
    { transport: "unix", path },
  ];
  for (const to of places) {
    using idle = new DisposableStack();
    let refused = 0;
    for (let count = 0; count < 200; count++) {
      try {
        idle.use("path" in to ? await Deno.connect(to) : await Deno.connect(to));
      } catch {
        refused++;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    assert.ok(refused < 200);
    await until(
      "an answer",
      async () => await status(`${address}/healthz`) === 200 || undefined,
      PATIENCE_MS,
    );
    await until(
      "its faults to be over",
      async () => {
        const response = await fetch(`${address}/readyz`).catch(() => undefined);
        const { degraded } = response?.status === 200 ? await response.json() : {};
        if (response?.status !== 200) await response?.body?.cancel();
        return degraded?.length === 0 || undefined;
      },
      PATIENCE_MS,
    );
  }
  const defects = daemon.lines.filter(({ msg }) => msg === "unexpected error");
  assert.deepEqual(defects, []);
  daemon.kill("SIGTERM");
  assert.equal(await daemon.ended(), 0);
});
