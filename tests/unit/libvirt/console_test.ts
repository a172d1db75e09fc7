import assert from "node:assert/strict";
import type { Console } from "../../../lib/libvirt/console.ts";
import { ConsoleFlag, ErrorCode } from "../../../lib/libvirt/constants.ts";
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import { inBackground } from "../../../lib/model/background.ts";
import { type Logger, silentLogger } from "../../../lib/model/log.ts";
import { until } from "../../../scripts/lab/until.ts";
import { refusal } from "../../support/libvirt_connections.ts";
import { LibvirtServer, Procedure, SERVED_DOMAIN } from "../../support/libvirt_server.ts";
import type { ServedConsole } from "../../support/libvirt_served_console.ts";

const { uuid } = SERVED_DOMAIN;
const bytes = (text: string) => new TextEncoder().encode(text);

/** A libvirt server with a console that is open; fails at the end if references to libvirt's objects were leaked. */
class Opened implements AsyncDisposable {
  private constructor(
    readonly server: LibvirtServer,
    readonly hypervisor: Hypervisor,
    readonly console: Console,
    readonly leaks: readonly string[],
  ) {}

  static async open(): Promise<Opened> {
    const server = await LibvirtServer.start();
    const leaks: string[] = [];
    const log: Logger = { ...silentLogger, error: (message) => leaks.push(message) };
    const hypervisor = await Hypervisor.open({ uri: server.uri, log, reconnectMs: 20 });
    return new Opened(server, hypervisor, await hypervisor.console(uuid, { force: false }), leaks);
  }

  get served(): ServedConsole {
    const served = this.server.consoles.at(-1);
    if (!served) throw new Error("no console was opened");
    return served;
  }

  /** Reads until so many characters have come, or the end. */
  async read(length = Infinity): Promise<string> {
    let text = "";
    while (text.length < length) {
      const part = await this.console.read();
      if (part === undefined) break;
      text += new TextDecoder().decode(part);
    }
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hypervisor[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    assert.deepEqual(this.leaks, []);
  }
}

Deno.test("what a guest prints is read and what is typed arrives, both whole and in order", async () => {
  await using opened = await Opened.open();
  const text = Array.from({ length: 40_000 }, (_, line) => `line ${line}\n`).join("");
  const printing = opened.served.print(text);
  assert.equal(await opened.read(text.length), text);
  await printing;
  await Promise.all([
    opened.console.write(bytes("first ")),
    opened.console.write(bytes("x".repeat(2_000))),
    opened.console.write(bytes(" last")),
  ]);
  const typed = `first ${"x".repeat(2_000)} last`;
  await until(
    "all input",
    () => Promise.resolve(opened.served.typed.length >= typed.length || undefined),
    10_000,
  );
  assert.equal(opened.served.typed, typed);
});

Deno.test("a console that is closed is given back: its stream is aborted, its connection closed", async () => {
  await using opened = await Opened.open();
  const before = opened.server.connections;
  await opened.console[Symbol.asyncDispose]();
  assert.deepEqual(await opened.console.ended, { kind: "closed", reason: "it was closed" });
  assert.equal(await opened.console.read(), undefined);
  assert.equal(opened.served.aborted, true);
  await until(
    "the connection to close",
    () => Promise.resolve(opened.server.connections === before - 1 || undefined),
    10_000,
  );
  await opened.console.write(bytes("too late"));
  assert.equal(opened.served.typed, "");
});

Deno.test("a guest that ends ends its console, after what it printed last", async () => {
  await using opened = await Opened.open();
  await opened.served.print("goodbye");
  await opened.served.end();
  assert.equal(await opened.read(), "goodbye");
  assert.equal((await opened.console.ended).kind, "ended");
});

Deno.test("a console that libvirt takes away tells libvirt's reason", async () => {
  await using opened = await Opened.open();
  await opened.served.fail("stream had I/O failure");
  assert.deepEqual(await opened.console.ended, { kind: "ended", reason: "stream had I/O failure" });
});

Deno.test("consoles end when libvirt dies, and can be opened again when it is back", async () => {
  await using opened = await Opened.open();
  await opened.served.print("before");
  assert.equal(await opened.read(6), "before");
  await opened.server.die();
  assert.equal((await opened.console.ended).kind, "lost");
  assert.equal((await refusal(opened.hypervisor.console(uuid, { force: false }))).kind, "unavailable");
  opened.server.listen();
  await until("libvirt to be back", () => Promise.resolve(opened.hypervisor.connected || undefined), 10_000);
  await using again = await opened.hypervisor.console(uuid, { force: false });
  await opened.served.print("after");
  assert.equal(new TextDecoder().decode(await again.read()), "after");
});

Deno.test("output that is not read is kept up to a bound, beyond which the console ends; what was kept can be read", async () => {
  await using opened = await Opened.open();
  const printing = opened.served.print("x".repeat(8 * 1024 * 1024));
  assert.equal((await opened.console.ended).kind, "unread");
  const kept = (await opened.read()).length;
  assert.ok(kept > 1024 * 1024 && kept < 2 * 1024 * 1024, `${kept}`);
  await printing;
});

Deno.test("input that libvirt does not take ends the console instead of piling up, and is no burden to others", async () => {
  await using opened = await Opened.open();
  const { promise, resolve } = Promise.withResolvers<void>();
  opened.server.deafness = promise;
  let ended = false;
  inBackground(opened.console.ended.then(() => ended = true));
  // More than the socket holds, in messages as long as they get, so that sending waits.
  while (!ended) await opened.console.write(bytes("x".repeat(4_096)));
  assert.equal((await opened.console.ended).kind, "untaken");
  assert.equal(await opened.hypervisor.isActive(uuid), false);
  resolve();
});

Deno.test("typing is as fast as a serial line, not faster", async () => {
  await using opened = await Opened.open();
  const start = performance.now();
  await opened.console.write(bytes("x".repeat(11_520)));
  assert.ok(performance.now() - start > 900);
});

Deno.test("a console that other users of ours have is given back before it is opened anew, without libvirt's force", async () => {
  await using opened = await Opened.open();
  const { hypervisor, server } = opened;
  const takers = Array.from({ length: 3 }, async () => {
    for (let round = 0; round < 30; round++) {
      const taken = await hypervisor.console(uuid, { force: true });
      if (round % 3 === 0) taken.end({ kind: "closed", reason: "enough" });
    }
  });
  assert.equal((await opened.console.ended).kind, "taken");
  await Promise.all(takers);
  assert.equal(server.openings.length, 1 + 3 * 30);
  assert.deepEqual([...new Set(server.openings.map(({ before }) => before))], [0]);
  assert.deepEqual([...new Set(server.openings.map(({ flags }) => flags))], [ConsoleFlag.safe]);
});

Deno.test("a console that somebody else has is taken by libvirt's force, if that is wanted", async () => {
  await using opened = await Opened.open();
  const { hypervisor, server } = opened;
  await opened.console[Symbol.asyncDispose]();
  server.failures.set(Procedure.openConsole, {
    code: ErrorCode.operationFailed,
    message: "Active console session exists for this domain",
  });
  assert.equal((await refusal(hypervisor.console(uuid, { force: false }))).kind, "conflict");
  assert.equal((await refusal(hypervisor.console(uuid, { force: true }))).kind, "conflict");
  const flags = server.openings.slice(1).map(({ flags }) => flags);
  assert.deepEqual(flags, [ConsoleFlag.safe, ConsoleFlag.safe, ConsoleFlag.safe | ConsoleFlag.force]);
});

Deno.test("a console that is taken, or whose guest is off, is a conflict; other failures are told as they are", async () => {
  await using opened = await Opened.open();
  const { hypervisor, server } = opened;
  server.failures.set(Procedure.openConsole, {
    code: 9,
    message: "Active console session exists for this domain",
  });
  const taken = await refusal(hypervisor.console(uuid, { force: false }));
  assert.equal(taken.kind, "conflict");
  assert.equal(
    taken.message,
    `Cannot open the console of domain ${uuid}: Active console session exists for this domain`,
  );
  server.failures.set(Procedure.openConsole, { code: 55, message: "domain is not running" });
  assert.equal((await refusal(hypervisor.console(uuid, { force: true }))).kind, "conflict");
  server.failures.set(Procedure.openConsole, { code: 1, message: "cannot find character device" });
  assert.equal((await refusal(hypervisor.console(uuid, { force: false }))).kind, "refused");
  assert.equal((await refusal(hypervisor.console(crypto.randomUUID(), { force: false }))).kind, "not_found");
});

Deno.test("there are no more consoles than can be served; one that is closed makes room", async () => {
  await using opened = await Opened.open();
  const { hypervisor } = opened;
  const others = await Promise.all(
    Array.from({ length: 63 }, () => hypervisor.console(uuid, { force: false })),
  );
  const refused = await refusal(hypervisor.console(uuid, { force: false }));
  assert.equal(refused.kind, "unavailable");
  assert.match(refused.message, /64 consoles are open on this host already$/);
  await others[0]?.[Symbol.asyncDispose]();
  await using _room = await hypervisor.console(uuid, { force: false });
});
