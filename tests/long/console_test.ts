import assert from "node:assert/strict";
import { CONSOLE_PROTOCOL, consolePath } from "../../lib/api/console_protocol.ts";
import { WebSocketClient } from "../../lib/api/websocket_client.ts";
import { Runstate } from "../../lib/model/enums.ts";
import { until } from "../../scripts/lab/until.ts";
import { Scene, User } from "../lab/support/console_scene.ts";

/** Lines of 9 bytes that make 9 MiB: more than what lies between a guest and its user can hold. */
const LINES = 1_048_576;

Deno.test("who does not read is cut off; memory does not grow, and the guest goes on", async () => {
  await using scene = await Scene.up();
  const { cluster } = scene;
  const daemon = cluster.daemon(1);
  await daemon.until(scene.vm, Runstate.running);
  const socket = await until("a console", async () => {
    const { hostname, port } = new URL(daemon.url);
    const answer = await WebSocketClient.open({
      to: { hostname, port: Number(port) },
      authority: "localhost",
      path: consolePath(scene.vm, { force: false }),
      protocol: CONSOLE_PROTOCOL,
      headers: new Headers(),
      timeoutMs: 10_000,
      what: "Cannot open the console",
    });
    return answer instanceof WebSocketClient ? answer : undefined;
  }, 30_000);
  const rss = async () => {
    const status = await Deno.readTextFile(`/proc/${daemon.process.pid}/status`);
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
  };
  const before = await rss();
  await socket.send(new TextEncoder().encode(`\ncount ${LINES}\n`));
  await until(
    "the console to end",
    () => Promise.resolve(/console ended.*4003/.test(daemon.process.output) || undefined),
    300_000,
  );
  const grown = await rss() - before;
  assert.ok(grown < 24, `${grown} MiB`);
  socket.abandon("it was cut off");
  const user = await until("a console", () => User.at(scene, 2).catch(() => undefined), 30_000);
  await user.send("");
  await user.send("say all along");
  await user.expect(/guest says: all along/);
  user.line.close();
});
