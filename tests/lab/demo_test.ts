import assert from "node:assert/strict";
import { lockDemo } from "../../scripts/demo/demo_lab.ts";
import { run } from "../../scripts/command.ts";
import { labNames } from "../../scripts/lab/state.ts";
import { until } from "../../scripts/lab/until.ts";
import { ROOT } from "../../scripts/paths.ts";

/** What `deno task demo` runs as root. */
const DEMO = [Deno.execPath(), "run", "--allow-all", `${ROOT}/scripts/demo/run.ts`];

Deno.test("a second demo says that one is running, and leaves it alone", async () => {
  using lock = await lockDemo();
  assert.ok(lock, "no demo is running");
  const { code, stdout } = await run(DEMO);
  assert.equal(code, 75);
  assert.match(stdout, /^Another demo is running on this machine/m);
});

Deno.test("Ctrl-C ends the demo and its lab, which is no failure", async () => {
  const [program = "", ...args] = DEMO;
  await using demo = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "null" })
    .spawn();
  let output = "";
  const reading = (async () => {
    for await (const text of demo.stdout.pipeThrough(new TextDecoderStream())) output += text;
  })();
  await until(
    "the demo to start virtxd",
    () => output.includes("virtxd on three hosts") || undefined,
    60_000,
  );
  demo.kill("SIGINT");
  const { code } = await demo.status;
  await reading;
  assert.equal(code, 130, output);
  assert.match(output, /^Interrupted: the lab ends\.$/m);
  assert.doesNotMatch(output, /failed/i);
  assert.ok(!(await labNames()).includes("demo"));
});
