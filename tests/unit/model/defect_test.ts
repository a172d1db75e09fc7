import assert from "node:assert/strict";
import { connect } from "node:net";
import { AnswerError } from "../../../lib/api/answer_error.ts";
import { parseDomainXml } from "../../../lib/domain_xml/mod.ts";
import { isDefect, logFailure, unlessDefect } from "../../../lib/model/defect.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { type Logger, silentLogger } from "../../../lib/model/log.ts";
import { PosixError } from "../../../lib/posix/errno.ts";

/** What the task fails with. */
async function failureOf(task: () => unknown): Promise<unknown> {
  try {
    await task();
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

Deno.test("what requests, peers and the operating system lead to is no defect", async () => {
  const refusedByNode = () =>
    new Promise((_, reject) => connect("/nonexistent/socket").once("error", reject));
  const expected = [
    new VirtxError("unavailable", "libvirt is away"),
    new PosixError("EIO", "Cannot read"),
    new AnswerError("internal", "a defect of another host", { requestId: undefined }),
    VirtxError.wrap(new PosixError("EIO", "Cannot read"), "Cannot list"),
    await failureOf(() => parseDomainXml("<domain><name>")),
    await failureOf(() => Deno.readTextFile("/nonexistent")),
    await failureOf(() => Deno.connect({ transport: "unix", path: "/nonexistent/socket" })),
    await failureOf(refusedByNode),
    await failureOf(() => AbortSignal.abort().throwIfAborted()),
  ];
  assert.deepEqual(expected.filter(isDefect), []);
});

Deno.test("what we have not foreseen is one, through any wrapping", async () => {
  const nothing: { name: string }[] = [];
  const ours = [
    new VirtxError("internal", "this cannot be"),
    await failureOf(() => JSON.parse("{")),
    await failureOf(() => nothing.map(({ name }) => name).reduce((a, b) => a + b)),
    await failureOf(() => new Uint8Array(-1)),
    "a string",
    undefined,
  ];
  const wrapped = ours.map((error) => VirtxError.wrap(error, "Cannot go on"));
  assert.deepEqual([...ours, ...wrapped].filter((error) => !isDefect(error)), []);
});

Deno.test("a failure is logged at its level, a defect as one", () => {
  const lines: unknown[] = [];
  const log: Logger = {
    ...silentLogger,
    debug: (message, fields) => lines.push(["debug", message, fields]),
    defect: (message, error, fields) => lines.push(["defect", message, String(error), fields]),
  };
  logFailure(log, "debug", "cannot ask", new VirtxError("timeout", "no answer"), { host: "virt2" });
  logFailure(log, "debug", "cannot ask", new TypeError("it is undefined"), { host: "virt2" });
  unlessDefect(log, "cannot look")(new VirtxError("timeout", "no answer"));
  unlessDefect(log, "cannot look")(new TypeError("it is undefined"));
  assert.deepEqual(lines, [
    ["debug", "cannot ask", { host: "virt2", reason: "no answer" }],
    ["defect", "cannot ask", "TypeError: it is undefined", { host: "virt2" }],
    ["defect", "cannot look", "TypeError: it is undefined", {}],
  ]);
});
