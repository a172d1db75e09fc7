import assert from "node:assert/strict";
import { Connection } from "../../../lib/libvirt/connection.ts";
import { DomainState } from "../../../lib/libvirt/constants.ts";
import { isLetThrough, knock, openRemote } from "../../../lib/libvirt/reach.ts";
import { RemoteLibvirt } from "../../../lib/libvirt/remote.ts";
import { Runtime } from "../../../lib/libvirt/runtime.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { daemon, HOSTNAME } from "../../support/tcp_daemon.ts";

/** REMOTE_PROC_AUTH_LIST, as a client of libvirt's own sends it. */
const AUTH_LIST = "0000001c 20008086 00000001 00000042 00000000 00000000 00000000";

Deno.test("a daemon that answers what every client asks first can be reached", async () => {
  const asked: string[] = [];
  using answers = daemon(async (connection, question) => {
    asked.push(question);
    await connection.write(new Uint8Array(36));
    connection.close();
  });
  await knock(HOSTNAME, answers.port);
  assert.deepEqual(asked, [AUTH_LIST]);
});

Deno.test("one that does not listen, hangs up or hangs cannot, and what helps is told", async (t) => {
  await t.step("not there", async () => {
    const listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
    const { port } = listener.addr;
    listener.close();
    await assert.rejects(knock(HOSTNAME, port), {
      kind: "unreachable",
      message: /^its libvirt cannot be reached from here: nothing listens .*refused.*libvirtd-tcp\.socket/,
    });
    assert.ok(await isLetThrough(HOSTNAME, port)); // nothing listens, but it is told so
  });
  await t.step("another program", async () => {
    using rude = daemon((connection) => connection.close());
    await assert.rejects(
      knock(HOSTNAME, rude.port),
      /it hangs up; does libvirtd hang, or is it another program/,
    );
    assert.ok(await isLetThrough(HOSTNAME, rude.port));
  });
  await t.step("it hangs", async () => {
    const held: Deno.TcpConn[] = [];
    using silent = daemon((connection) => void held.push(connection));
    await assert.rejects(knock(HOSTNAME, silent.port), /does not answer within 3 s/);
    for (const connection of held) connection.close();
  });
});

Deno.test("while one hangs that had answered, other connections can be opened", async () => {
  await using runtime = new Runtime(silentLogger);
  const held: Deno.TcpConn[] = [];
  using silent = daemon((connection) => void held.push(connection));
  const late: Promise<void>[] = [];
  const opening = openRemote(
    runtime,
    `qemu+tcp://${HOSTNAME}:${silent.port}/system`,
    (work) => late.push(work),
  );
  await assert.rejects(opening, { kind: "unreachable", message: /has not let this host in for 5 s/ });
  await using _other = await Connection.open(runtime, "test:///default");
  assert.equal(late.length, 1);
  for (const connection of held) connection.close();
  await Promise.all(late);
});

Deno.test("what libvirt says of one that does not let this host in is told", async () => {
  await using runtime = new Runtime(silentLogger);
  using rude = daemon((connection) => connection.close());
  const opening = openRemote(
    runtime,
    `qemu+tcp://${HOSTNAME}:${rude.port}/system`,
    () => assert.fail("it hangs"),
  );
  await assert.rejects(opening, {
    kind: "unreachable",
    message: /from here: qemu\+tcp:.*: .*(reset|End of file)/,
  });
});

Deno.test("over a connection to another host domains are seen and ended; what is late ends its use", async () => {
  await using runtime = new Runtime(silentLogger);
  await using connection = await Connection.open(runtime, "test:///default");
  const libvirt = new RemoteLibvirt(connection, "qemu+tcp://192.0.2.7/system");
  const [{ uuid } = { uuid: "" }] = await libvirt.domains();
  assert.equal(await libvirt.isActive(uuid), true);
  assert.equal((await libvirt.state(uuid)).state, DomainState.running);
  assert.match(await libvirt.liveXml(uuid), /<domain type='test'/);
  await libvirt.destroy(uuid, { graceful: false });
  await libvirt.undefine(uuid);
  await assert.rejects(libvirt.isActive(uuid), { kind: "not_found", message: /192\.0\.2\.7/ });
  connection.retire(new VirtxError("timeout", "no answer"));
  await assert.rejects(libvirt.domains(), { kind: "timeout" });
});
