/**
 * `deno task test`: installs what the tests need, checks the source, builds the executable, and runs the tests: each as root, all
 * else as the user who calls. The last line is always `N passed, N failed`; exits 1 unless all passed.
 *
 *     deno task test                tests/unit and tests/lab; where CI is set, as on a build server, tests/fresh as well
 *     deno task test unit/daemon    those below tests/unit/daemon
 *     deno task test fresh          on a Debian that is new, made for the purpose
 *     deno task test long           those that take too long for every day: tests/long, and tests/fresh
 *     deno task test campaign       ten minutes of random requests, other tools and failures, and that its checker sees what is broken
 *     … --seed 5                    what is random as it was with that seed
 */
import { guestImage } from "./guest/image.ts";
import { ensurePackages, FRESH_ROOT_PACKAGES } from "./packages.ts";
import { ROOT } from "./paths.ts";
import { print, printedProgress as progress, seconds } from "./progress.ts";
import { asRoot, handBack } from "./root.ts";
import { readCounts, type TestCounts } from "./test/junit.ts";
import { failuresIn, heard } from "./test/transcript.ts";

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

/**
 * Runs a command with a network of its own, of a loopback device alone: with its usual addresses, whatever the machine's are, and
 * with ports that nobody else has.
 */
const WITH_OWN_LOOPBACK = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];

/** Runs a command as root, remembering what it says; it is printed as it comes, or else not at all. */
async function overheard(
  argv: readonly string[],
  { printed }: { readonly printed: boolean },
): Promise<{ success: boolean; said: string }> {
  const [program = "", ...rest] = await asRoot(argv);
  const child = new Deno.Command(program, {
    args: rest,
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [out, err] = await Promise.all([
    heard(child.stdout, printed ? Deno.stdout : undefined),
    heard(child.stderr, printed ? Deno.stderr : undefined),
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
 * Directories of which each file or directory has a process of its own: what libvirt's threads do to a process whose test has
 * broken off shall neither hide what went wrong nor take the other tests along. So many of them run at a time: the tests wait
 * more than they work, and each has a network or a lab of its own.
 */
const EACH_ALONE: Readonly<Record<string, number>> = {
  "tests/unit": 2,
  "tests/lab": 2,
  "tests/fresh": 1,
  "tests/long": 1,
  "tests/campaign": 1,
};

async function runTests(path: string): Promise<Outcome> {
  const lanes = EACH_ALONE[path];
  if (lanes === undefined) return await runProcess(path);
  const parts = await partsOf(path);
  if (lanes === 1) {
    let all = NOTHING_RUN;
    for (const part of parts) all = sum(all, await stage(part, () => runProcess(part)));
    return all;
  }
  const outcomes: Outcome[] = [];
  const lane = async () => {
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      outcomes.push(await runBeside(part));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return outcomes.reduce(sum, NOTHING_RUN);
}

/** Runs tests beside others: one line tells how they went, and they are quoted only where they failed. */
async function runBeside(part: string): Promise<Outcome> {
  const began = performance.now();
  const outcome = await runProcess(part, { printed: false });
  const { passed, failed, failures } = outcome;
  print(`  ${part.padEnd(48)} ${passed} passed, ${failed} failed, ${seconds(performance.now() - began)}\n`);
  for (const failure of failures) print(`\n${failure}\n`);
  return outcome;
}

/** The test files in a directory, and the directories in it that are not support for others. */
async function partsOf(directory: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(`${ROOT}/${directory}`));
  const parts = entries.filter(({ name, isDirectory }) =>
    isDirectory ? name !== "support" : name.endsWith("_test.ts")
  );
  return parts.map(({ name }) => `${directory}/${name}`).sort();
}

/** Types have been checked before. */
async function runProcess(path: string, { printed } = { printed: true }): Promise<Outcome> {
  // In a directory of ours: Linux lets not even root write to another user's file in /tmp (fs.protected_regular).
  const scratch = await Deno.makeTempDir({ prefix: "virtxd-tests-" });
  const report = `${scratch}/junit.xml`;
  try {
    const { success, said } = await overheard([
      ...(path.startsWith("tests/unit") ? WITH_OWN_LOOPBACK : []),
      Deno.execPath(),
      "test",
      "--allow-all",
      "--no-check",
      `--junit-path=${report}`,
      path,
    ], { printed });
    const junit = await Deno.readTextFile(report).catch(() => "");
    const counts = junit === "" ? BROKEN : readCounts(junit); // it ended before its tests did
    if (success) return { ...counts, failures: [] };
    // What is no test can fail as well: a file that cannot be loaded, a leak found at the end.
    const failed = Math.max(1, counts.failed);
    return { ...counts, failed, failures: [`== ${path}\n${failuresIn(said)}\n`] };
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

/** The executable, and the guest that the tests in the lab start. */
async function build(): Promise<Outcome> {
  if (!await deno("run", "--allow-all", "scripts/build.ts")) return BROKEN;
  await guestImage(`${ROOT}/.lab/cache`, progress);
  return NOTHING_RUN;
}

/** Formatting, lint and types, as `deno task check` has them. */
async function check(): Promise<Outcome> {
  return await deno("task", "--quiet", "check") ? NOTHING_RUN : BROKEN;
}

/** The directories below tests/ that are asked for; a seed is for the tests. */
function wanted([...args]: readonly string[]): readonly string[] {
  const at = args.indexOf("--seed");
  if (at >= 0) {
    const [, seed = ""] = args.splice(at, 2);
    if (!/^\d+$/.test(seed)) throw new Error("--seed takes a number");
    Deno.env.set("VIRTX_TEST_SEED", seed);
  }
  const all = args.flatMap((arg) => arg === "long" ? ["long", "fresh"] : [arg]);
  if (all.length > 0) return all;
  return Deno.env.has("CI") ? ["unit", "fresh", "lab"] : ["unit", "lab"];
}

async function main(paths: readonly string[]): Promise<number> {
  const all = [
    await stage("Check formatting, lint and types", check),
    await stage("Build the executable", build),
  ];
  for (const path of paths) {
    all.push(await stage(`Tests in tests/${path}`, () => runTests(`tests/${path}`)));
  }
  const { passed, failed, failures } = all.reduce(sum);
  for (const failure of failures) print(`\n${failure}`);
  print(`\n${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

async function script(): Promise<number> {
  try {
    const paths = wanted(Deno.args);
    const fresh = paths.some((path) => /^(fresh|long)\b/.test(path));
    await ensurePackages(progress, fresh ? FRESH_ROOT_PACKAGES : []);
    await asRoot([]); // sudo asks now, rather than when all is built
    try {
      return await main(paths);
    } finally {
      await handBack();
    }
  } catch (error) {
    print(`${error instanceof Error ? error.message : error}\n`);
    print("\n0 passed, 1 failed\n");
    return 1;
  }
}

Deno.exit(await script());
