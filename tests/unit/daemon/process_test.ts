import assert from "node:assert/strict";
import { until } from "../../../scripts/lab/until.ts";
import { DaemonProcess, daemonStorage } from "../../support/daemon_process.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** A connection with a request that the daemon has begun to read, and whose body never comes to its end. */
async function openRequest(address: string): Promise<Deno.Conn> {
  const { hostname, port } = new URL(address);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const head = [
    "POST /vms HTTP/1.1",
    `Host: ${hostname}:${port}`,
    "Content-Type: application/json",
    "Content-Length: 99",
    "Expect: 100-continue",
  ];
  await connection.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n`));
  const answer = new Uint8Array(100);
  const count = await connection.read(answer) ?? 0;
  assert.match(new TextDecoder().decode(answer.subarray(0, count)), /^HTTP\/1\.1 100 /);
  return connection;
}

Deno.test("it starts, says so, serves, and ends with 0 at SIGTERM or SIGINT", async () => {
  await using root = await daemonStorage();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    await using daemon = DaemonProcess.spawn(root);
    const address = await daemon.ready();
    const response = await fetch(`${address}/readyz`);
    assert.deepEqual([response.status, await response.json()], [200, { ready: true, degraded: [] }]);
    daemon.kill(signal);
    assert.equal(await daemon.ended(), 0);
    await daemon.line("stopped");
  }
});

Deno.test("the log is JSON, line by line, also on a host whose name does not resolve, of which libvirt complains", async () => {
  await using root = await daemonStorage();
  const elsewhere = ["unshare", "--uts", "sh", "-c", 'hostname no-such-host && exec "$@"', "sh"];
  await using daemon = DaemonProcess.spawn(root, [], elsewhere);
  await daemon.ready();
  assert.equal((await daemon.line("monitoring")).name, "no-such-host");
  daemon.kill("SIGTERM");
  assert.equal(await daemon.ended(), 0);
});

Deno.test("it serves its unix socket, and removes it at the end", async () => {
  await using root = await daemonStorage();
  const path = root.at("run/virtxd.sock");
  await using daemon = DaemonProcess.spawn(root, ["--socket", path]);
  await daemon.ready();
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
  const response = await fetch("http://localhost/healthz", { client });
  assert.equal(response.status, 200);
  await response.body?.cancel();
  daemon.kill("SIGTERM");
  assert.equal(await daemon.ended(), 0);
  await assert.rejects(Deno.lstat(path), Deno.errors.NotFound);
});

const ONLY_ROOT = { ignore: Deno.uid() !== 0 }; // may give files away

Deno.test(
  "without --listen only the socket is served; it and its directory are for the group that is named",
  ONLY_ROOT,
  async () => {
    await using root = await daemonStorage();
    const path = root.at("run/virtxd.sock");
    const group = "nogroup"; // every Debian has it
    const args = ["--listen", "none", "--socket", path, "--socket-group", group];
    await using daemon = DaemonProcess.spawn(root, args);
    assert.equal(await daemon.ready(), `unix:${path}`);
    const gid = Number((await Deno.readTextFile("/etc/group")).match(/^nogroup:[^:]*:(\d+):/m)?.[1]);
    for (const [each, mode] of [[path, 0o660], [root.at("run"), 0o750]] as const) {
      const found = await Deno.stat(each);
      assert.deepEqual([found.gid, (found.mode ?? 0) & 0o777], [gid, mode], each);
    }
    const sockets = await Deno.readTextFile(`/proc/${daemon.pid}/net/tcp`);
    const own = new Set<string>();
    for await (const { name } of Deno.readDir(`/proc/${daemon.pid}/fd`)) {
      own.add(await Deno.readLink(`/proc/${daemon.pid}/fd/${name}`).catch(() => ""));
    }
    const listening = sockets.split("\n").map((line) => line.trim().split(/\s+/))
      .filter(([, , , state, , , , , , inode]) => state === "0A" && own.has(`socket:[${inode}]`));
    assert.deepEqual(listening, []);
  },
);

Deno.test("a group that is named and is not there is told, with 69", async () => {
  await using root = await daemonStorage();
  const args = ["--socket", root.at("virtxd.sock"), "--socket-group", "no-such-group"];
  await using daemon = DaemonProcess.spawn(root, args);
  assert.equal(await daemon.ended(), 69);
  const { reason, hint } = await daemon.line("cannot start");
  assert.match(String(reason), /no group "no-such-group"/);
  assert.match(String(hint), /groupadd/);
});

Deno.test("SIGUSR1 switches the log level to debug; SIGHUP has no effect", async () => {
  await using root = await daemonStorage();
  await using daemon = DaemonProcess.spawn(root);
  const address = await daemon.ready();
  daemon.kill("SIGHUP");
  daemon.kill("SIGUSR1");
  assert.equal((await daemon.line("log level changed")).level, "info"); // the line's own level
  const response = await fetch(`${address}/healthz`);
  await response.body?.cancel();
  await daemon.line("request"); // which is logged at debug only
});

Deno.test("when libvirt cannot be reached it says why and what to do, and exits with 69", async () => {
  await using root = await daemonStorage();
  await using daemon = DaemonProcess.spawn(root, [
    "--libvirt-uri",
    "qemu+unix:///system?socket=/nonexistent/libvirt-sock",
  ]);
  assert.equal(await daemon.ended(), 69);
  const { reason, hint, level } = await daemon.line("cannot start");
  assert.equal(level, "error");
  assert.match(String(reason), /qemu\+unix:\/\/.*No such file or directory/);
  assert.match(String(hint), /systemctl start libvirtd.*--libvirt-uri/);
});

Deno.test("without the shared storage it says what to do, and exits with 69", async () => {
  await using root = await TempDir.create();
  await using daemon = DaemonProcess.spawn(root);
  assert.equal(await daemon.ended(), 69);
  const { reason, hint } = await daemon.line("cannot start");
  assert.ok(String(reason).includes(root.path), String(reason));
  assert.match(String(hint), /mount/);
});

Deno.test("a second daemon on the same host is refused with 69, and the first goes on", async () => {
  await using root = await daemonStorage();
  await using first = DaemonProcess.spawn(root);
  const address = await first.ready();
  await using second = DaemonProcess.spawn(root);
  assert.equal(await second.ended(), 69);
  assert.match(String((await second.line("cannot start")).reason), /another virtxd \(process \d+\)/);
  const response = await fetch(`${address}/healthz`);
  assert.equal(response.status, 200);
  await response.body?.cancel();
});

Deno.test("an address that is taken is named, and the exit code is 69", async () => {
  await using root = await daemonStorage();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using daemon = DaemonProcess.spawn(root, ["--listen", `127.0.0.1:${taken.addr.port}`]);
  assert.equal(await daemon.ended(), 69);
  assert.match(
    String((await daemon.line("cannot start")).reason),
    new RegExp(`127\\.0\\.0\\.1:${taken.addr.port}`),
  );
});

Deno.test("an open request holds the end up to the deadline, and no longer", async () => {
  await using root = await daemonStorage();
  await using daemon = DaemonProcess.spawn(root, ["--shutdown-timeout", "300ms"]);
  using _request = await openRequest(await daemon.ready());
  daemon.kill("SIGTERM");
  assert.equal(await daemon.ended(), 0);
  const { ms } = await daemon.line("stopped by the deadline, with work left undone");
  assert.ok(Number(ms) >= 290, `${ms}`);
});

Deno.test("a second signal ends it at once", async () => {
  await using root = await daemonStorage();
  await using daemon = DaemonProcess.spawn(root, ["--shutdown-timeout", "1h"]);
  using _request = await openRequest(await daemon.ready());
  daemon.kill("SIGTERM");
  await daemon.line("stopping");
  daemon.kill("SIGTERM");
  assert.equal(await daemon.ended(), 143);
});

Deno.test("a killed daemon leaves nothing that keeps the next one from starting", async () => {
  await using root = await daemonStorage();
  const args = ["--socket", root.at("virtxd.sock")];
  {
    await using daemon = DaemonProcess.spawn(root, args);
    await daemon.ready();
    daemon.kill("SIGKILL");
    await daemon.ended();
  }
  await using daemon = DaemonProcess.spawn(root, args);
  await daemon.ready();
});

Deno.test("it outlives the reader of its log", async () => {
  await using root = await daemonStorage();
  await using daemon = DaemonProcess.spawn(root, [
    "--socket",
    root.at("virtxd.sock"),
    "--log-level",
    "debug",
  ]);
  const address = await daemon.ready();
  await daemon.closeLog();
  for (let i = 0; i < 3; i++) { // each is a line of the log
    const response = await fetch(`${address}/healthz`);
    assert.equal(response.status, 200);
    await response.body?.cancel();
  }
  daemon.kill("SIGTERM");
  assert.equal(await daemon.ended(), 0);
});

const PATIENCE_MS = 20_000;

/** What /readyz answers. */
async function readiness(address: string): Promise<{ status: number; degraded: string[] }> {
  const response = await fetch(`${address}/readyz`);
  const { degraded } = await response.json();
  return { status: response.status, degraded };
}

Deno.test("it outlives an error that nobody catches, and says so until it is started again", async () => {
  await using root = await daemonStorage();
  await using daemon = DaemonProcess.spawn(root, [], ["env", "VIRTX_TEST_DEFECT=SIGUSR2"]);
  const address = await daemon.ready();
  assert.deepEqual(await readiness(address), { status: 200, degraded: [] });
  for (const words of ["1 unexpected error", "2 unexpected errors", "3 unexpected errors"]) {
    daemon.kill("SIGUSR2");
    const degraded = await until("the error to be counted", async () => {
      const [first = ""] = (await readiness(address)).degraded;
      return first.startsWith(words) ? first : undefined;
    }, PATIENCE_MS);
    assert.match(degraded, /^\d unexpected errors? since 20\S+Z: restart virtxd, and report them/);
  }
  const { level, error, stack } = await daemon.line("unexpected error");
  assert.deepEqual([level, error], ["error", "a defect for a test"]);
  assert.match(String(stack), /^TypeError: a defect for a test\n +at .*test_hooks\.ts/);
  assert.equal(
    daemon.lines.filter(({ msg }) => msg === "unexpected error").length,
    1,
    "the same is told once",
  );
  daemon.kill("SIGTERM");
  assert.equal(await daemon.ended(), 0);
});

Deno.test("ten of them within a minute end it with 70", async () => {
  await using root = await daemonStorage();
  await using daemon = DaemonProcess.spawn(root, [], ["env", "VIRTX_TEST_DEFECT=SIGUSR2"]);
  const address = await daemon.ready();
  for (let count = 1; count < 10; count++) {
    daemon.kill("SIGUSR2");
    await until("the error to be counted", async () => {
      const [first = ""] = (await readiness(address)).degraded;
      return first.startsWith(`${count} `) || undefined;
    }, PATIENCE_MS);
  }
  daemon.kill("SIGUSR2");
  assert.equal(await daemon.ended(), 70);
  await daemon.line("ended by too many unexpected errors");
});

Deno.test("one that comes before it serves ends it with 70", async () => {
  await using root = await daemonStorage();
  await using daemon = DaemonProcess.spawn(root, [], ["env", "VIRTX_TEST_DEFECT=start"]);
  assert.equal(await daemon.ended(), 70);
  assert.match(String((await daemon.line("unexpected error")).stack), /test_hooks\.ts/);
  await daemon.line("ended by an unexpected error in the start");
});
