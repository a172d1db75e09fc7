/**
 * `deno task test`: installs what the tests need, checks the source, builds the executable, and runs the unit tests and the tests in the
 * lab. The last line is always `N passed, N failed`; exits 1 unless all passed.
 *
 *     deno task test                all
 *     deno task test unit/daemon    those below tests/unit/daemon
 */
import { ensurePackages, LAB_PACKAGES } from "./packages.ts";
import { print, printedProgress as progress, seconds } from "./progress.ts";
import { throughSudo } from "./root.ts";
import { readCounts, type TestCounts } from "./test/junit.ts";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

const NOTHING_RUN: TestCounts = { passed: 0, failed: 0 };
/** A step that could not even be begun is a failure as well. */
const BROKEN: TestCounts = { passed: 0, failed: 1 };

/** Runs Deno with this terminal as its own; whether it ended well. */
async function deno(...args: readonly string[]): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), { args: [...args], cwd: ROOT, stdin: "null" }).spawn();
  return (await child.status).success;
}

/** A heading, the task's own output, and how long it took. */
async function stage(title: string, task: () => Promise<TestCounts>): Promise<TestCounts> {
  print(`\n== ${title}\n`);
  const began = performance.now();
  const counts = await task();
  print(`== ${title}: ${seconds(performance.now() - began)}\n`);
  return counts;
}

/** Runs the tests below a path. */
async function runTests(path: string): Promise<TestCounts> {
  const report = await Deno.makeTempFile({ prefix: "virtxd-tests-", suffix: ".xml" });
  try {
    const succeeded = await deno("test", "--allow-all", `--junit-path=${report}`, path);
    const junit = await Deno.readTextFile(report);
    if (junit === "") return BROKEN; // it did not get as far as running tests
    const counts = readCounts(junit);
    // What is no test can fail as well: a file that cannot be loaded, a leak found at the end.
    return succeeded || counts.failed > 0 ? counts : { ...counts, failed: 1 };
  } finally {
    await Deno.remove(report);
  }
}

async function build(): Promise<TestCounts> {
  return await deno("run", "--allow-all", "scripts/build.ts") ? NOTHING_RUN : BROKEN;
}

/** Formatting, lint and types, as `deno task check` has them. */
async function check(): Promise<TestCounts> {
  return await deno("task", "--quiet", "check") ? NOTHING_RUN : BROKEN;
}

async function main(paths: readonly string[]): Promise<number> {
  const wanted = paths.length === 0 ? ["unit", "lab"] : paths;
  const all = [
    await stage("Check formatting, lint and types", check),
    await stage("Build the executable", build),
  ];
  for (const path of wanted) {
    all.push(await stage(`Tests in tests/${path}`, () => runTests(`tests/${path}`)));
  }
  const passed = all.reduce((sum, counts) => sum + counts.passed, 0);
  const failed = all.reduce((sum, counts) => sum + counts.failed, 0);
  print(`\n${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

async function script(): Promise<number> {
  try {
    await ensurePackages(LAB_PACKAGES, progress);
    return await throughSudo(import.meta.url) ?? await main(Deno.args);
  } catch (error) {
    print(`${error instanceof Error ? error.message : error}\n`);
    print("\n0 passed, 1 failed\n");
    return 1;
  }
}

Deno.exit(await script());
