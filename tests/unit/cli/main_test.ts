import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import project from "../../../deno.json" with { type: "json" };
import { SETTING_NAMES, spellings } from "../../../lib/daemon/settings.ts";
import { run } from "../../../scripts/command.ts";
import { TempDir } from "../../support/temp_dir.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const HELP = new URL("../../fixtures/cli/help.txt", import.meta.url);

/** The real main.ts as a process, with nothing of ours in its environment but what is given. */
function virtxd(args: readonly string[], env: Record<string, string> = {}) {
  return run([Deno.execPath(), "run", "--allow-all", "--quiet", `${ROOT}/main.ts`, ...args], {
    env: { NO_COLOR: "1", LC_ALL: "C.UTF-8", ...env },
  });
}

Deno.test("--help prints what is in tests/fixtures/cli/help.txt", async () => {
  const { code, stdout, stderr } = await virtxd(["--help"]);
  assert.deepEqual([code, stderr], [0, ""]);
  if (Deno.env.has("UPDATE_GOLDEN")) await Deno.writeTextFile(HELP, stdout);
  assert.equal(stdout, await Deno.readTextFile(HELP));
});

Deno.test("the help fits 100 columns and names each setting as flag and as variable", async () => {
  const help = await Deno.readTextFile(HELP);
  for (const line of help.split("\n")) assert.ok(line.length <= 100, line);
  for (const name of SETTING_NAMES) {
    const { flag, variable } = spellings(name);
    assert.ok(help.includes(`  ${flag} `), flag);
    assert.ok(help.includes(`[${variable}; default: `), variable);
  }
});

Deno.test("--version prints the versions of virtxd and of the runtime", async () => {
  const { code, stdout } = await virtxd(["--version"]);
  assert.equal(code, 0);
  assert.deepEqual(stdout.split("\n").slice(0, 2), [
    `virtxd ${project.version}`,
    `deno ${Deno.version.deno}, v8 ${Deno.version.v8}, ${Deno.build.target}`,
  ]);
});

Deno.test("wrong usage exits with 64, and says what is wrong on standard error", async () => {
  const cases: [string[], RegExp][] = [
    [["--listn", "x"], /^virtxd: there is no flag --listn \(did you mean "--listen"\?\)/],
    [["start"], /^virtxd: there is no command "start"/],
    [["serve", "--log-level"], /^virtxd: --log-level needs a value/],
    [["--log-level", "loud"], /^virtxd: --log-level: "loud" must be one of/],
    [["--listen", "0.0.0.0:80"], /^virtxd: --listen: 0\.0\.0\.0:80 can be reached/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await virtxd(args);
    assert.deepEqual([code, stdout], [64, ""], args.join(" "));
    assert.match(stderr, message);
  }
});

Deno.test("a wrong configuration exits with 78, each problem a line", async () => {
  await using dir = await TempDir.create();
  await Deno.writeTextFile(dir.at("v.toml"), "log-levl = 1\nsocket = 2\n");
  for (const args of [[], ["serve"], ["--check-config"]]) {
    const { code, stdout, stderr } = await virtxd([...args, "--config", dir.at("v.toml")], { VIRTXD_X: "1" });
    assert.deepEqual([code, stdout], [78, ""]);
    assert.equal(
      stderr.replaceAll(`${dir.path}/`, ""),
      'virtxd: v.toml:1:1: there is no setting "log-levl" (did you mean "log-level"?)\n' +
        'virtxd: v.toml:2:1: socket must be an absolute path, or "none"\n' +
        "virtxd: VIRTXD_X: there is no setting of this name\n",
    );
  }
});

Deno.test("--check-config prints the values with their origins, and starts nothing", async () => {
  await using dir = await TempDir.create();
  await Deno.writeTextFile(dir.at("v.toml"), 'sample-interval = "1m"\n');
  const env = { VIRTXD_CONFIG: dir.at("v.toml"), VIRTXD_LOG_FORMAT: "json" };
  const { code, stdout, stderr } = await virtxd(["--check-config", "--log-level=warn"], env);
  assert.deepEqual([code, stderr], [0, ""]);
  const lines = stdout.split("\n");
  for (
    const [assignment, origin] of [
      ['log-level = "warn"', "--log-level"],
      ['log-format = "json"', "VIRTXD_LOG_FORMAT"],
      ['sample-interval = "1m"', `${dir.at("v.toml")}:1:1`],
      ['libvirt-uri = "qemu:///system"', "default"],
    ] as const
  ) {
    assert.ok(
      lines.some((line) => line.startsWith(`${assignment} `) && line.endsWith(`# ${origin}`)),
      stdout,
    );
  }
});

Deno.test("help, version and configuration that cannot be written are told so", async () => {
  const program = [Deno.execPath(), "run", "--allow-all", "--quiet", `${ROOT}/main.ts`];
  for (const flag of ["--help", "--version", "--check-config"]) {
    const script = `"$@" ${flag} > /dev/full`;
    const { code, stderr } = await run(["bash", "-c", script, "bash", ...program], {
      env: { LC_ALL: "C.UTF-8" },
    });
    assert.deepEqual([code, stderr], [74, "virtxd: Cannot write the output: no space left on the device\n"]);
  }
});

Deno.test("a reader that has enough of the help is no error", async () => {
  const script = '"$@" --help | head -n 1; echo "${PIPESTATUS[0]}"';
  const program = [Deno.execPath(), "run", "--allow-all", "--quiet", `${ROOT}/main.ts`];
  const { stdout, stderr } = await run(["bash", "-c", script, "bash", ...program]);
  assert.equal(stderr, "");
  assert.match(stdout, /\n0\n$/);
});
