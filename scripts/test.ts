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
import { failuresIn, passOn } from "./test/transcript.ts";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** What came of a step. */
interface Outcome extends TestCounts {
  /** An account of each test process that failed, to be read at the end. */
  readonly failures: readonly string[];
}

const NOTHING_RUN: Outcome = { passed: 0, failed: 0, failures: [] };
/** A step that could not even be begun is a failure as well. */
const BROKEN: Outcome = { passed: 0, failed: 1, failures: [] };

/** Runs Deno with this terminal as its own; whether it ended well. */
async function deno(...args: readonly string[]): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), { args: [...args], cwd: ROOT, stdin: "null" }).spawn();
  return (await child.status).success;
}

/** The same, remembering what it says. */
async function overheard(...args: readonly string[]): Promise<{ success: boolean; said: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [out, err] = await Promise.all([
    passOn(child.stdout, Deno.stdout),
    passOn(child.stderr, Deno.stderr),
  ]);
  return { success: (await child.status).success, said: out + err };
}

function sum(some: Outcome, others: Outcome): Outcome {
  return {
    passed: some.passed + others.passed,
    failed: some.failed + others.failed,
    failures: [...some.failures, ...others.failures],
  };
}

/** A heading, the task's own output, and how long it took. */
async function stage(title: string, task: () => Promise<Outcome>): Promise<Outcome> {
  print(`\n== ${title}\n`);
  const began = performance.now();
  const counts = await task();
  print(`== ${title}: ${seconds(performance.now() - began)}\n`);
  return counts;
}

/**
 * Runs the tests below a path. Each file of the lab's has a process of its own: what libvirt's threads do to a process
 * whose test has broken off shall neither hide what went wrong nor take the tests of other files along.
 */
async function runTests(path: string): Promise<Outcome> {
  if (path !== "tests/lab") return await runProcess(path);
  let all = NOTHING_RUN;
  for (const file of await testFilesIn(path)) all = sum(all, await runProcess(file));
  return all;
}

async function testFilesIn(directory: string): Promise<string[]> {
  const names = (await Array.fromAsync(Deno.readDir(`${ROOT}/${directory}`))).map(({ name }) => name);
  return names.filter((name) => name.endsWith("_test.ts")).sort().map((name) => `${directory}/${name}`);
}

/** Types have been checked before. */
async function runProcess(path: string): Promise<Outcome> {
  const report = await Deno.makeTempFile({ prefix: "virtxd-tests-", suffix: ".xml" });
  try {
    const { success, said } = await overheard(
      "test",
      "--allow-all",
      "--no-check",
      `--junit-path=${report}`,
      path,
    );
    const junit = await Deno.readTextFile(report);
    const counts = junit === "" ? BROKEN : readCounts(junit); // empty: it ended before its tests did
    if (success) return { ...counts, failures: [] };
    // What is no test can fail as well: a file that cannot be loaded, a leak found at the end.
    const failed = Math.max(1, counts.failed);
    return { ...counts, failed, failures: [`== ${path}\n${failuresIn(said)}\n`] };
  } finally {
    await Deno.remove(report);
  }
}

async function build(): Promise<Outcome> {
  return await deno("run", "--allow-all", "scripts/build.ts") ? NOTHING_RUN : BROKEN;
}

/** Formatting, lint and types, as `deno task check` has them. */
async function check(): Promise<Outcome> {
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
  const { passed, failed, failures } = all.reduce(sum);
  for (const failure of failures) print(`\n${failure}`);
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
