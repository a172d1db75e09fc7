import assert from "node:assert/strict";
import fc from "fast-check";
import {
  createLogger,
  jsonFormat,
  type LogFormat,
  LogThreshold,
  textFormat,
} from "../../../lib/daemon/log.ts";
import { LogWriter } from "../../../lib/daemon/log_writer.ts";

const TIME = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** A logger, and the lines that it has written. */
function recorder(format: LogFormat, threshold = new LogThreshold("debug")) {
  const lines: string[] = [];
  const log = createLogger({ threshold, format, clock: () => TIME, write: (line) => lines.push(line) });
  return { log, lines };
}

Deno.test("JSON lines carry time, level, message and fields, and leave out what is undefined", () => {
  const { log, lines } = recorder(jsonFormat);
  log.with({ host: "virt1" }).warn("VM booted", { vm: "web1", ms: 12, op: undefined });
  assert.deepEqual(lines, [
    '{"time":"2026-01-02T03:04:05.678Z","level":"warn","msg":"VM booted","host":"virt1","vm":"web1","ms":12}\n',
  ]);
});

Deno.test("a field cannot pass for time, level or message", () => {
  const { log, lines } = recorder(jsonFormat);
  log.info("real", { msg: "forged", level: "error", time: "never" });
  assert.deepEqual(JSON.parse(lines.join("")), {
    time: "2026-01-02T03:04:05.678Z",
    level: "info",
    msg: "real",
  });
});

Deno.test("text lines quote what would be ambiguous", () => {
  const { log, lines } = recorder(textFormat({ color: false }));
  log.error("cannot boot", { vm: "web 1", path: "/vms/ds/a.qcow2", reason: 'a="b"', empty: "", ok: false });
  assert.deepEqual(lines, [
    '2026-01-02T03:04:05.678Z ERROR cannot boot vm="web 1" path=/vms/ds/a.qcow2 reason="a=\\"b\\"" empty="" ok=false\n',
  ]);
});

Deno.test("whatever a message or field contains, it stays one line without control characters", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\n2026 ERROR forged", "\x1b[2J", "\x9b2J", "\u202e", "\u2028", "\x7f", "\ud800", "\r"),
  );
  fc.assert(fc.property(hostile, hostile, (message, value) => {
    for (const format of [jsonFormat, textFormat({ color: false })]) {
      const { log, lines } = recorder(format);
      log.info(message, { value });
      assert.equal(lines.length, 1);
      assert.match(lines.join(""), /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]*\n$/u);
    }
  }));
});

Deno.test("JSON gives every value back as it was", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (value) => {
    const { log, lines } = recorder(jsonFormat);
    log.info(value, { value });
    const { msg, value: read } = JSON.parse(lines.join(""));
    assert.deepEqual([msg, read], [value, value]);
  }));
});

Deno.test("the level can be changed while running, and toggled to debug and back", () => {
  const threshold = new LogThreshold("warn");
  const { log, lines } = recorder(textFormat({ color: false }), threshold);
  const heard = () => {
    lines.length = 0;
    for (const level of ["debug", "info", "warn", "error"] as const) log[level]("x");
    return lines.length;
  };
  assert.equal(heard(), 2);
  assert.equal(threshold.toggleDebug(), "debug");
  assert.equal(heard(), 4);
  assert.equal(threshold.toggleDebug(), "warn");
  assert.equal(heard(), 2);
  threshold.set("debug");
  assert.equal(threshold.toggleDebug(), "info");
  assert.equal(heard(), 3);
});

/** Takes bytes only when told to. */
class StoppedReader {
  text = "";
  failure: Error | undefined;
  #gate = Promise.withResolvers<void>();

  resume(): void {
    this.#gate.resolve();
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.#gate.promise;
    if (this.failure) throw this.failure;
    const count = Math.min(bytes.length, 1000); // as a pipe may, it takes a part only
    this.text += new TextDecoder().decode(bytes.subarray(0, count));
    return count;
  }
}

Deno.test("lines are written in order and whole, also when the sink takes them piecemeal", async () => {
  const reader = new StoppedReader();
  const writer = new LogWriter(reader, (count) => `lost ${count}\n`);
  const lines = Array.from({ length: 1000 }, (_, i) => `line ${i}\n`);
  for (const line of lines) writer.write(line);
  reader.resume();
  await writer.flush(10_000);
  assert.equal(reader.text, lines.join(""));
});

Deno.test("with a reader that has stopped, writing and flushing end nevertheless, and what was lost is counted", async () => {
  const reader = new StoppedReader();
  const writer = new LogWriter(reader, (count) => `lost ${count}\n`);
  const line = `${"x".repeat(99_999)}\n`;
  for (let i = 0; i < 100; i++) writer.write(line);
  await writer.flush(1);
  assert.equal(reader.text, "");
  reader.resume();
  await writer.flush(10_000);
  const kept = reader.text.split("\n").filter((text) => text.startsWith("x")).length;
  assert.ok(kept > 10 && kept < 100);
  assert.ok(reader.text.endsWith(`lost ${100 - kept}\n`));
});

Deno.test("a reader that is gone is no error", async () => {
  const reader = new StoppedReader();
  reader.failure = new Deno.errors.BrokenPipe();
  const writer = new LogWriter(reader, () => "");
  writer.write("a\n");
  reader.resume();
  await writer.flush(10_000);
  writer.write("b\n");
  await writer.flush(10_000);
  assert.equal(reader.text, "");
});

Deno.test("after a passing failure, later lines are written again", async () => {
  const reader = new StoppedReader();
  reader.failure = new Error("no space left on device");
  const writer = new LogWriter(reader, () => "");
  writer.write("a\n");
  reader.resume();
  await writer.flush(10_000);
  reader.failure = undefined;
  writer.write("b\n");
  await writer.flush(10_000);
  assert.equal(reader.text, "b\n");
});
