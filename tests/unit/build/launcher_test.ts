import assert from "node:assert/strict";
import { assemble } from "../../../scripts/build/self_extracting.ts";
import { run } from "../../../scripts/command.ts";
import { TempDir } from "../../support/temp_dir.ts";

const NOBODY = 65534;

/** Stands for the Deno runtime: says how it is called, and what it is given. */
const RUNTIME = `#!/bin/sh
case $* in *warm.js) echo warm >>"$DENO_DIR.log"; exit 0 ;; esac
echo "runtime $0"
for argument in "$@"; do echo "argument $argument"; done
env | grep -E '^(HOME|PATH|VIRTX_|DENO_|OWN)' | sort
umask
cat
exit 7
`;

/** An executable of the self-extracting form with a runtime of our own, in a home that belongs to nobody. */
class Bench implements AsyncDisposable {
  private constructor(readonly dir: TempDir) {}

  static async create(): Promise<Bench> {
    const bench = new Bench(await TempDir.create());
    await Deno.chmod(bench.dir.path, 0o755);
    await Deno.mkdir(bench.home);
    await Deno.chown(bench.home, NOBODY, NOBODY);
    await bench.build("1");
    return bench;
  }

  get executable(): string {
    return this.dir.at("virtxd");
  }

  get home(): string {
    return this.dir.at("home");
  }

  /** Builds a version that differs from others. */
  async build(version: string): Promise<void> {
    const program = this.dir.at(`program-${version}`);
    await Deno.mkdir(program);
    await Deno.writeTextFile(`${program}/main.js`, `// ${version}`);
    await Deno.writeTextFile(`${program}/part.js`, `// ${version}`);
    await Deno.writeTextFile(this.dir.at("runtime"), RUNTIME);
    await assemble({
      runtime: this.dir.at("runtime"),
      packedRuntime: this.dir.at("runtime.gz"),
      program,
      flags: ["--flag=/a,/b"],
      output: this.executable,
    });
  }

  /** Runs the executable as nobody, with nothing but coreutils and their like in the PATH. */
  start(args: readonly string[] = [], env: Record<string, string> = {}) {
    return run(
      ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", this.executable, ...args],
      {
        clearEnv: true,
        env: { HOME: this.home, PATH: "/usr/bin:/bin", TMPDIR: "/nonexistent", ...env },
        stdin: "input\n",
      },
    );
  }

  /** Starts the executable as nobody; it runs until disposed. */
  async startLingering(): Promise<AsyncDisposable> {
    const child = new Deno.Command("setpriv", {
      args: ["--reuid=nobody", "--regid=nogroup", "--clear-groups", this.executable],
      clearEnv: true,
      env: { HOME: this.home, PATH: "/usr/bin:/bin" },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const output = child.stdout.getReader();
    await output.read(); // it speaks, so it runs
    const stdin = child.stdin.getWriter();
    return {
      async [Symbol.asyncDispose]() {
        await stdin.close().catch(() => {}); // once is enough
        while (!(await output.read()).done);
        await child.status;
      },
    };
  }

  /** Runs a script as root in a mount namespace where /var/cache and /run are empty; $1 is the executable. */
  startAsRoot(script: string) {
    const isolated =
      `for d in /var/cache /run; do mount -t tmpfs -o mode=755 tmpfs $d || exit 99; done; ${script}`;
    return run(["unshare", "--mount", "sh", "-c", isolated, "sh", this.executable], {
      clearEnv: true,
      env: { HOME: "/nonexistent", PATH: "/usr/sbin:/usr/bin:/sbin:/bin", TMPDIR: "/nonexistent" },
    });
  }

  /** The versions that lie unpacked in nobody's home. */
  async unpacked(): Promise<string[]> {
    const base = `${this.home}/.cache/virtxd`;
    const names = (await Array.fromAsync(Deno.readDir(base))).map(({ name }) => name);
    return names.filter((name) => name !== "lock").sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dir[Symbol.asyncDispose]();
  }
}

Deno.test("it hands over arguments, standard input, environment, name and exit code", async () => {
  await using bench = await Bench.create();
  const { code, stdout, stderr } = await bench.start(["a b", "", "$HOME", "--x=*"], {
    OWN: "1",
    PATH: "/own:/bin",
  });
  assert.equal(stderr, "");
  assert.equal(code, 7);
  const [version] = await bench.unpacked();
  const dir = `${bench.home}/.cache/virtxd/${version}`;
  assert.deepEqual(stdout.split("\n"), [
    `runtime ${dir}/deno`,
    "argument run",
    ...["--quiet", "--no-config", "--no-lock", "--no-remote", "--no-npm", "--flag=/a,/b"].map((f) =>
      `argument ${f}`
    ),
    `argument ${dir}/main.js`,
    "argument a b",
    "argument ",
    "argument $HOME",
    "argument --x=*",
    `DENO_DIR=${dir}/cache`,
    "DENO_NO_UPDATE_CHECK=1",
    `HOME=${dir}`,
    "OWN=1",
    "PATH=/own:/bin",
    `VIRTX_ARGV0=${bench.executable}`,
    `VIRTX_HOME=${bench.home}`,
    "0022",
    "input",
    "",
  ]);
});

Deno.test("it unpacks once, for its user alone", async () => {
  await using bench = await Bench.create();
  await bench.start();
  const [version = ""] = await bench.unpacked();
  const base = `${bench.home}/.cache/virtxd`;
  const before = await Deno.stat(`${base}/${version}/deno`);
  await bench.start();
  assert.deepEqual(await bench.unpacked(), [version]);
  assert.equal((await Deno.stat(`${base}/${version}/deno`)).ino, before.ino);
  assert.equal(await Deno.readTextFile(`${base}/${version}/cache.log`), "warm\n");
  for (const path of [`${bench.home}/.cache`, base, `${base}/${version}`]) {
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o700, path);
  }
});

Deno.test("ten first starts at the same time all run, and leave one copy", async () => {
  await using bench = await Bench.create();
  const starts = await Promise.all(Array.from({ length: 10 }, () => bench.start()));
  assert.deepEqual(starts.map(({ code, stderr }) => [code, stderr]), Array(10).fill([7, ""]));
  const versions = await bench.unpacked();
  assert.equal(versions.length, 1);
  assert.equal(await Deno.readTextFile(`${bench.home}/.cache/virtxd/${versions[0]}/cache.log`), "warm\n");
});

Deno.test("what a killed or full unpacking left is replaced", async () => {
  await using bench = await Bench.create();
  await bench.start();
  const [version = ""] = await bench.unpacked();
  const base = `${bench.home}/.cache/virtxd`;
  const damages: (() => Promise<void>)[] = [
    () => Deno.truncate(`${base}/${version}/deno`, 3),
    () => Deno.remove(`${base}/${version}/main.js`),
    () => Deno.remove(`${base}/${version}/part.js`),
    () => Deno.truncate(`${base}/${version}/part.js`, 1),
    () => Deno.remove(`${base}/${version}/warm.js`),
    () => Deno.remove(`${base}/${version}`, { recursive: true }),
    () => Deno.chmod(`${base}/${version}/deno`, 0o777),
    async () => {
      await Deno.mkdir(`${base}/new.1`);
      await Deno.chown(`${base}/new.1`, NOBODY, NOBODY);
      await Deno.remove(`${base}/${version}/deno`);
    },
  ];
  for (const damage of damages) {
    await damage();
    const { code, stderr } = await bench.start();
    assert.deepEqual([code, stderr], [7, ""], String(damage));
    assert.deepEqual(await bench.unpacked(), [version], String(damage));
  }
});

Deno.test("a first start that was killed before it had warmed up is made up for by the next", async () => {
  await using bench = await Bench.create();
  await bench.start();
  const [version = ""] = await bench.unpacked();
  const dir = `${bench.home}/.cache/virtxd/${version}`;
  await Deno.remove(`${dir}/warm`);
  for (const times of [2, 2]) {
    const { code, stdout, stderr } = await bench.start();
    assert.deepEqual([code, stderr], [7, ""]);
    assert.ok(stdout.startsWith(`runtime ${dir}/deno`), stdout);
    assert.equal(await Deno.readTextFile(`${dir}/cache.log`), "warm\n".repeat(times));
  }
});

Deno.test("a directory that others could have prepared is not used", async () => {
  const preparations: ((base: string) => Promise<void>)[] = [
    (base) => Deno.mkdir(base), // root's
    async (base) => {
      await Deno.mkdir(base);
      await Deno.chown(base, NOBODY, NOBODY);
      await Deno.chmod(base, 0o770);
    },
    async (base) => {
      await Deno.mkdir(`${base}.elsewhere`);
      await Deno.chown(`${base}.elsewhere`, NOBODY, NOBODY);
      await Deno.chmod(`${base}.elsewhere`, 0o700);
      await Deno.symlink(`${base}.elsewhere`, base);
    },
    (base) => Deno.writeTextFile(base, ""),
  ];
  for (const prepare of preparations) {
    await using bench = await Bench.create();
    await Deno.mkdir(`${bench.home}/.cache`);
    await Deno.chown(`${bench.home}/.cache`, NOBODY, NOBODY);
    await prepare(`${bench.home}/.cache/virtxd`);
    // The next place is tried, and used: a sticky directory for temporary files.
    const temporary = bench.dir.at("tmp");
    await Deno.mkdir(temporary);
    await Deno.chmod(temporary, 0o1777);
    const { code, stdout } = await bench.start([], { TMPDIR: temporary });
    assert.equal(code, 7, String(prepare));
    assert.ok(stdout.startsWith(`runtime ${temporary}/virtxd-${NOBODY}/`), stdout);
  }
});

Deno.test("without any place to unpack to, it names those it tried, and exits with 73", async () => {
  await using bench = await Bench.create();
  await Deno.mkdir(`${bench.home}/.cache`);
  await Deno.chown(`${bench.home}/.cache`, NOBODY, NOBODY);
  await Deno.chmod(`${bench.home}/.cache`, 0o500);
  const { code, stdout, stderr } = await bench.start();
  assert.deepEqual([code, stdout], [73, ""]);
  assert.match(stderr, /^virtxd: there is no place to unpack the runtime to:\n {2}\S+\/\.cache\/virtxd: /);
});

Deno.test("a file that was cut off when copied says so", async () => {
  await using bench = await Bench.create();
  const { size } = await Deno.stat(bench.executable);
  await Deno.truncate(bench.executable, size - 1);
  const { code, stderr } = await bench.start();
  assert.equal(code, 73);
  assert.match(stderr, /this file is damaged or cut off: copy it again/);
});

Deno.test("older versions are removed, but not while they run", async () => {
  await using bench = await Bench.create();
  await bench.start();
  const [first = ""] = await bench.unpacked();
  await using lingering = await bench.startLingering();
  await bench.build("2");
  await bench.start();
  assert.equal((await bench.unpacked()).length, 2, "the first version was removed while it ran");
  await lingering[Symbol.asyncDispose]();
  await bench.build("3");
  await bench.start();
  const left = await bench.unpacked();
  assert.equal(left.length, 1);
  assert.ok(!left.includes(first));
});

Deno.test("as root it uses /var/cache, and without that /run; it needs no home", async () => {
  await using bench = await Bench.create();
  const inCache = await bench.startAsRoot('"$1"');
  assert.ok(inCache.stdout.startsWith("runtime /var/cache/virtxd/"), inCache.stdout + inCache.stderr);
  const inRun = await bench.startAsRoot('mount -o remount,ro /var/cache && "$1"');
  assert.ok(inRun.stdout.startsWith("runtime /run/virtxd-cache/"), inRun.stdout + inRun.stderr);
});

Deno.test("a place where programs may not be run is passed over, and left clean", async () => {
  await using bench = await Bench.create();
  const { stdout, stderr } = await bench.startAsRoot(
    'mount -o remount,noexec /var/cache && "$1"; find /var/cache/virtxd -name deno',
  );
  assert.ok(stdout.startsWith("runtime /run/virtxd-cache/"), stdout + stderr);
  assert.ok(!stdout.includes("\n/var/cache"), stdout);
});
