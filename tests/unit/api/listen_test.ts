import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { RUNTIME_FLAGS } from "../../../scripts/build/runtime_flags.ts";
import { run } from "../../../scripts/command.ts";
import { ApiClient } from "../../../lib/api/client.ts";
import { Listeners } from "../../../lib/api/listen.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { apiFixture } from "../../support/api_fixture.ts";
import { rawExchange } from "../../support/raw_http.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { numberedUuid } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 };

/** An API that listens, and whose VmCreate waits until the test lets it go. */
async function held() {
  const fixture = apiFixture();
  const listeners = await Listeners.open(fixture.app, [LOCAL]);
  const arrived = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  fixture.vms.create = async () => {
    arrived.resolve();
    await gate.promise;
    return numberedUuid(1);
  };
  const [address = ""] = listeners.addresses;
  const client = new ApiClient({ address });
  const answer = client.request("POST", "/vms", { vmdef: SMALL_VMDEF });
  await arrived.promise;
  return {
    ...fixture,
    listeners,
    address,
    answer,
    release: gate.resolve,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await listeners[Symbol.asyncDispose]();
    },
  };
}

Deno.test("all addresses are served, and the ports that the system chose are told", async () => {
  await using dir = await TempDir.create();
  const path = dir.at("run/api.sock");
  await using listeners = await Listeners.open(apiFixture().app, [LOCAL, { hostname: "::1", port: 0 }, {
    path,
  }]);
  assert.equal(listeners.addresses.length, 3);
  for (const address of listeners.addresses) {
    using client = new ApiClient({ address });
    assert.equal((await client.request("GET", "/healthz")).status, 200, address);
  }
});

Deno.test("the unix socket is for owner and group, in a directory closed to others, and goes away", async () => {
  await using dir = await TempDir.create();
  const path = dir.at("run/api.sock");
  {
    await using _listeners = await Listeners.open(apiFixture().app, [{ path }]);
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o660);
    assert.equal(((await Deno.stat(dir.at("run"))).mode ?? 0) & 0o777, 0o750);
  }
  await assert.rejects(Deno.lstat(path), Deno.errors.NotFound);
});

Deno.test(
  "a directory that others may pass is not given to the socket's group",
  { ignore: Deno.uid() !== 0 },
  async () => {
    await using dir = await TempDir.create();
    await Deno.mkdir(dir.at("open"), { mode: 0o755 });
    const path = dir.at("open/api.sock");
    await using _listeners = await Listeners.open(apiFixture().app, [{ path, group: 65534 }]);
    assert.deepEqual([(await Deno.stat(dir.at("open"))).gid, (await Deno.stat(path)).gid], [
      Deno.gid(),
      65534,
    ]);
  },
);

Deno.test("on the unix socket any Host will do", async () => {
  await using dir = await TempDir.create();
  await using _listeners = await Listeners.open(apiFixture().app, [{ path: dir.at("s") }]);
  const [response] = await rawExchange(
    { transport: "unix", path: dir.at("s") },
    "GET /healthz HTTP/1.1\r\nHost: whatever\r\nConnection: close\r\n\r\n",
  );
  assert.equal(response?.status, 200);
});

Deno.test("on the unix socket a path is looked for as it is", async () => {
  await using dir = await TempDir.create();
  await using _listeners = await Listeners.open(apiFixture().app, [{ path: dir.at("s") }]);
  for (
    const [path, status] of [["/nope", 404], ["/vms/../hosts", 404], ["/", 302], ["/hosts?x", 400]] as const
  ) {
    const [response] = await rawExchange(
      { transport: "unix", path: dir.at("s") },
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    );
    assert.equal(response?.status, status, path);
  }
});

Deno.test("on a loopback address only names of this machine will do", async () => {
  await using listeners = await Listeners.open(apiFixture().app, [LOCAL]);
  const port = Number(new URL(listeners.addresses[0] ?? "").port);
  const [response] = await rawExchange(
    { port },
    "GET /vms HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
  );
  assert.equal(response?.status, 403);
});

Deno.test("a socket that a dead process left behind is taken over", async () => {
  await using dir = await TempDir.create();
  const path = dir.at("s");
  const script = `Deno.listen({ transport: "unix", path: ${
    JSON.stringify(path)
  } }); Deno.kill(Deno.pid, "SIGKILL");`;
  await new Deno.Command(Deno.execPath(), { args: ["eval", "--no-lock", script], stderr: "null" }).output();
  assert.ok((await Deno.lstat(path)).isSocket);
  await using listeners = await Listeners.open(apiFixture().app, [{ path }]);
  using client = new ApiClient({ address: listeners.addresses[0] ?? "" });
  assert.equal((await client.request("GET", "/healthz")).status, 200);
});

Deno.test("a socket that somebody serves, and what is not a socket, are left alone", async () => {
  await using dir = await TempDir.create();
  const path = dir.at("s");
  await using first = await Listeners.open(apiFixture().app, [{ path }]);
  await assert.rejects(
    Listeners.open(apiFixture().app, [{ path }]),
    /Cannot listen on unix:.*another process listens/,
  );
  using client = new ApiClient({ address: first.addresses[0] ?? "" });
  assert.equal((await client.request("GET", "/healthz")).status, 200);
  await Deno.writeTextFile(dir.at("file"), "precious");
  await assert.rejects(Listeners.open(apiFixture().app, [{ path: dir.at("file") }]), VirtxError);
  assert.equal(await Deno.readTextFile(dir.at("file")), "precious");
});

Deno.test("if one address cannot be had, none is kept", async () => {
  await using dir = await TempDir.create();
  await using taken = await Listeners.open(apiFixture().app, [LOCAL]);
  const port = Number(new URL(taken.addresses[0] ?? "").port);
  const both = [{ path: dir.at("s") }, { hostname: "127.0.0.1", port }];
  await assert.rejects(Listeners.open(apiFixture().app, both), (error: VirtxError) => {
    assert.equal(error.kind, "unavailable");
    assert.match(error.message, new RegExp(`Cannot listen on 127.0.0.1:${port}: `));
    return true;
  });
  await assert.rejects(Deno.lstat(dir.at("s")), Deno.errors.NotFound);
});

Deno.test("closing lets open requests finish and accepts no more", async () => {
  await using api = await held();
  const closing = api.listeners.close(10_000);
  await assert.rejects(async () => (await fetch(api.address)).body?.cancel());
  api.release();
  assert.equal((await api.answer).body, numberedUuid(1));
  assert.equal(await closing, true);
});

Deno.test("a request that is still open at the deadline is answered with 503", async () => {
  await using api = await held();
  const answer = assert.rejects(api.answer, (error: VirtxError) => {
    assert.equal(error.kind, "unavailable");
    assert.match(error.message, /shutting down/);
    return true;
  });
  assert.equal(await api.listeners.close(20), false);
  await answer;
  api.release();
});

Deno.test("a connection that is idle does not hold up closing", async () => {
  await using listeners = await Listeners.open(apiFixture().app, [LOCAL]);
  const port = Number(new URL(listeners.addresses[0] ?? "").port);
  using _idle = await Deno.connect({ port });
  await (await fetch(`${listeners.addresses[0]}/healthz`)).body?.cancel();
  assert.equal(await listeners.close(10_000), true);
});

Deno.test("an address that this host lacks, and a socket where none may be made, are told in words", async () => {
  // A number of TEST-NET-3 (RFC 5737), which nobody has.
  const lacking = Listeners.open(apiFixture().app, [{ hostname: "203.0.113.1", port: 8080 }]);
  await assert.rejects(lacking, {
    kind: "unavailable",
    message: "Cannot listen on 203.0.113.1:8080: this host has no such address",
  });
  await using dir = await TempDir.create();
  const program = fileURLToPath(new URL("../../support/listen_process.ts", import.meta.url));
  const { stdout, stderr } = await run(
    [Deno.execPath(), "run", "--no-check", "--quiet", ...RUNTIME_FLAGS, program, dir.at("x.sock")],
  );
  assert.equal(
    stdout,
    `Cannot listen on unix:${
      dir.at("x.sock")
    }: this program lets itself write only below /vms, /run/virtxd and /var/lib/virtxd, ` +
      "and not read devices or the system's own files\n",
    stderr,
  );
});
