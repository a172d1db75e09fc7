import assert from "node:assert/strict";
import type { ConsoleLine } from "../../../../lib/api/console_line.ts";
import { CONSOLE_CLOSE } from "../../../../lib/api/console_protocol.ts";
import { Session, type SessionEnd } from "../../../../lib/cli/console/session.ts";
import { VirtxError } from "../../../../lib/model/error.ts";
import { until } from "../../../../scripts/lab/until.ts";
import { MemoryConsole } from "../../../support/memory_consoles.ts";

const ESCAPE = 0x1d;
const bytes = (text: string) => new TextEncoder().encode(text);

/** A console as the client sees it, whose other end is the test. */
class TestLine implements ConsoleLine {
  readonly console = new MemoryConsole();
  readonly ended: ConsoleLine["ended"];
  readonly #codes = Promise.withResolvers<{ code: number; reason: string }>();

  constructor() {
    this.ended = this.#codes.promise;
  }
  read() {
    return this.console.read();
  }
  write(bytes: Uint8Array<ArrayBuffer>) {
    return this.console.write(bytes);
  }
  close() {
    this.end(1000, "");
  }
  end(code: number, reason: string) {
    this.console.close();
    this.#codes.resolve({ code, reason });
  }
}

/** A user at a session: types, sees, and is told things. */
class User {
  readonly lines: (TestLine | VirtxError)[] = [];
  readonly said: string[] = [];
  seen = "";
  /** Why the terminal takes nothing more. */
  deaf: Error | undefined;
  /** Why nothing can be read of what is typed. */
  mute: Error | undefined;
  /** Ctrl-C, a time limit. */
  readonly interrupt = new AbortController();
  readonly #typed: (Uint8Array | null)[] = [];
  #wake: (() => void) | undefined;

  begin(first: TestLine, o: { isTyped: boolean; escape?: number }): Promise<SessionEnd> {
    return new Session({
      dial: () => {
        const next = this.lines.shift();
        if (next instanceof TestLine) return Promise.resolve(next);
        return Promise.reject(next ?? new VirtxError("unreachable", "nobody answers"));
      },
      input: { read: (buffer) => this.mute === undefined ? this.#read(buffer) : Promise.reject(this.mute) },
      output: {
        write: (bytes) => {
          if (this.deaf !== undefined) return Promise.reject(this.deaf);
          this.seen += new TextDecoder().decode(bytes.subarray(0, 3)); // in pieces, as a terminal may take it
          return Promise.resolve(Math.min(3, bytes.length));
        },
      },
      isTyped: o.isTyped,
      escape: o.isTyped ? o.escape ?? ESCAPE : undefined,
      say: (text) => this.said.push(text),
      signal: this.interrupt.signal,
    }).run(first);
  }

  type(text: string | null): void {
    this.#typed.push(text === null ? null : bytes(text));
    this.#wake?.();
  }

  async #read(buffer: Uint8Array): Promise<number | null> {
    while (this.#typed.length === 0) await new Promise<void>((resolve) => this.#wake = resolve);
    const next = this.#typed.shift();
    if (!next) return null;
    buffer.set(next);
    return next.length;
  }
}

async function typedArrives(line: TestLine, text: string): Promise<void> {
  await until(
    `"${text}" to be typed`,
    () => Promise.resolve(line.console.typed === text || undefined),
    10_000,
  );
}

Deno.test("what is typed and what the guest prints pass, until the escape key leaves", async () => {
  const user = new User(), line = new TestLine();
  const session = user.begin(line, { isTyped: true });
  line.console.print("login: \x1b[31m");
  user.type("root\r\x03");
  await typedArrives(line, "root\r\x03");
  user.type("last\x1dlost");
  assert.equal(await session, "left");
  assert.equal(user.seen, "login: \x1b[31m");
  assert.equal(line.console.typed, "root\r\x03last");
  assert.ok(line.console.closed);
});

Deno.test("the escape key leaves also while the guest takes nothing", async () => {
  const user = new User(), line = new TestLine();
  line.console.gate = new Promise(() => {});
  const session = user.begin(line, { isTyped: true });
  user.type("stuck");
  user.type("\x1d");
  assert.equal(await session, "left");
});

Deno.test("a pipe has no escape key, its end is not the session's, and the guest's last words are seen", async () => {
  const user = new User(), line = new TestLine();
  const session = user.begin(line, { isTyped: false });
  user.type("binary \x1d data");
  user.type(null);
  await typedArrives(line, "binary \x1d data");
  line.console.print("goodbye");
  line.end(CONSOLE_CLOSE.stopped, 'VM "web1" has stopped');
  assert.deepEqual(await session, { code: CONSOLE_CLOSE.stopped, reason: 'VM "web1" has stopped' });
  assert.equal(user.seen, "goodbye");
});

Deno.test("a guest that moves, and a line that breaks, are followed; the user is told", async () => {
  const user = new User(), first = new TestLine(), second = new TestLine(), third = new TestLine();
  user.lines.push(second, new VirtxError("unreachable", "nobody answers"), third);
  const session = user.begin(first, { isTyped: true });
  first.console.print("one ");
  first.end(CONSOLE_CLOSE.moved, 'VM "web1" has moved to host "virt2"');
  await until("the second line", () => Promise.resolve(user.said.length === 2 || undefined), 10_000);
  second.console.print("two ");
  user.type("hi");
  await typedArrives(second, "hi");
  second.end(1006, "the server hung up");
  await until("the third line", () => Promise.resolve(user.said.length === 4 || undefined), 10_000);
  third.console.print("three");
  third.end(CONSOLE_CLOSE.taken, "Another user has taken the console");
  assert.deepEqual(await session, {
    code: CONSOLE_CLOSE.taken,
    reason: "Another user has taken the console",
  });
  assert.equal(user.seen, "one two three");
  assert.deepEqual(user.said, [
    'VM "web1" has moved to host "virt2". Connecting again …',
    "Connected again.",
    "The server hung up. Connecting again …",
    "Connected again.",
  ]);
});

Deno.test("input of a pipe waits for the line that comes again, what is typed meanwhile is lost", async () => {
  for (const isTyped of [false, true]) {
    const user = new User(), first = new TestLine(), second = new TestLine();
    const session = user.begin(first, { isTyped });
    first.end(1001, "virtxd is stopping");
    await until("the user to be told", () => Promise.resolve(user.said.length === 1 || undefined), 10_000);
    user.type("meanwhile ");
    user.lines.push(second);
    await until("the second line", () => Promise.resolve(user.said.length === 2 || undefined), 10_000);
    user.type("after");
    await typedArrives(second, isTyped ? "after" : "meanwhile after");
    second.end(CONSOLE_CLOSE.stopped, "");
    await session;
  }
});

Deno.test("who waits for a lost line can leave, and interrupts end the session at any time", async () => {
  const user = new User(), line = new TestLine();
  const session = user.begin(line, { isTyped: true });
  line.end(1006, "the server hung up");
  await until("the user to be told", () => Promise.resolve(user.said.length === 1 || undefined), 10_000);
  user.type("\x1d");
  assert.equal(await session, "left");

  const other = new User(), open = new TestLine();
  const ended = other.begin(open, { isTyped: false });
  other.interrupt.abort(new Error("interrupted"));
  await assert.rejects(ended, /interrupted/);
  assert.ok(open.console.closed);
});

Deno.test("an output that takes nothing more, and an input that cannot be read, are told in words", async () => {
  const system = (code: string) => Object.assign(new Error("(os error 28)"), { code });
  {
    const user = new User(), line = new TestLine();
    user.deaf = system("ENOSPC");
    line.console.print("hello");
    await assert.rejects(user.begin(line, { isTyped: false }), {
      message: "Cannot write the output: no space left on the device",
    });
  }
  {
    const user = new User(), line = new TestLine();
    user.deaf = new Deno.errors.BrokenPipe("gone");
    line.console.print("hello");
    assert.equal(await user.begin(line, { isTyped: false }), "left");
  }
  {
    const user = new User(), line = new TestLine();
    user.mute = system("EISDIR");
    await assert.rejects(user.begin(line, { isTyped: false }), {
      message: "Cannot read standard input: it is a directory",
    });
  }
});
