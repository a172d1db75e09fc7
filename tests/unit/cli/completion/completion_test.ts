import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { answer } from "../../../../lib/cli/completion/answer.ts";
import { ApiClient } from "../../../../lib/api/client.ts";
import { Listeners } from "../../../../lib/api/listen.ts";
import { completionScript } from "../../../../lib/cli/completion/scripts.ts";
import { apiFixture } from "../../../support/api_fixture.ts";
import { SMALL_VMDEF } from "../../../support/vmdef_examples.ts";
import { run } from "../../../../scripts/command.ts";
import { TempDir } from "../../../support/temp_dir.ts";

/** What is offered for a line whose last word is being written. */
async function words(line: string, env: Record<string, string> = {}, now = 1_000_000): Promise<string[]> {
  const text = await answer(line.split(" "), { env: (name) => env[name], version: "1", now });
  return text.split("\n").slice(0, -1).map((one) => one.split("\t")[0] ?? "");
}

Deno.test("commands, flags and their choices are offered", async () => {
  assert.deepEqual(await words("v"), ["vm", "version"]);
  assert.deepEqual(await words("vm re"), ["restart", "resume", "register"]);
  assert.deepEqual(await words("vm list --st"), ["--state"]);
  assert.deepEqual(await words("vm list --state p"), ["poweroff", "paused", "pmsuspended"]);
  assert.deepEqual(await words("vm list --state=pa"), ["--state=paused"]);
  assert.deepEqual(await words("vm list -s pa"), ["paused"]);
  assert.deepEqual(await words("--server virt1 vm li"), ["list"]);
  assert.deepEqual(await words("completion "), ["bash", "zsh", "fish"]);
  assert.deepEqual(await words("vm create -f x"), [":files"]);
  assert.deepEqual(await words("vm nonsense x"), []);
  assert.deepEqual(await words("vm get web1 more"), []);
});

Deno.test("names come from the cluster, and for seconds from memory; of a cluster that is away there are none", async () => {
  await using dir = await TempDir.create();
  const fixture = apiFixture();
  const env = { HOME: dir.path, VIRTX_API_SERVER: "" };
  {
    await using listeners = await Listeners.open(fixture.app, [{ hostname: "127.0.0.1", port: 0 }]);
    env.VIRTX_API_SERVER = listeners.addresses[0] ?? "";
    using client = new ApiClient({ address: env.VIRTX_API_SERVER });
    await client.request("POST", "/vms", { vmdef: { ...SMALL_VMDEF, name: "web1" } });
    const hosts = await words("host get ", env);
    assert.ok(hosts.length > 0);
    assert.deepEqual(await words("vm list --host ", env), hosts);
    assert.deepEqual(await words("vm start no", env), []);
    assert.deepEqual(await words("vm start ", env), ["web1"]);
    assert.deepEqual(await words("vm start virt1/", env), ["virt1/web1"]);
  }
  const known = await words("host get ", env);
  assert.ok(known.length > 0, "remembered");
  assert.deepEqual(await words("host get ", env, 1_000_000 + 6_000), [], "too old");
  assert.deepEqual(
    await words("host get ", { ...env, VIRTX_API_SERVER: "127.0.0.1:9" }),
    [],
    "of another cluster",
  );
});

Deno.test("a home that cannot be written, and a file that holds something else, do no harm", async () => {
  await using dir = await TempDir.create();
  const env = { HOME: dir.at("file"), VIRTX_API_SERVER: "127.0.0.1:9" };
  await Deno.writeTextFile(dir.at("file"), "");
  assert.deepEqual(await words("vm get w", env), []);
  await Deno.mkdir(dir.at("home/.cache/virtx"), { recursive: true });
  await Deno.writeTextFile(dir.at("home/.cache/virtx/names-vm.json"), '{"at":1000000,"names":[{"word":3}]}');
  assert.deepEqual(await words("vm get w", { ...env, HOME: dir.at("home") }), []);
});

Deno.test("the script of bash completes words, values behind an equals sign, and files", async () => {
  await using dir = await TempDir.create();
  await Deno.writeTextFile(dir.at("notes.yaml"), "");
  const main = fileURLToPath(new URL("../../../../main.ts", import.meta.url));
  await Deno.writeTextFile(
    dir.at("virtx"),
    `#!/bin/sh\nVIRTX_ARGV0=virtx exec "${Deno.execPath()}" run -A --no-check --quiet "${main}" "$@"\n`,
    { mode: 0o755 },
  );
  await Deno.writeTextFile(dir.at("script"), completionScript("bash", "virtx"));
  const tries = [
    "virtx vm li",
    "virtx vm list --state=pa",
    "virtx vm create -f not",
    "virtx vm get $(touch x)",
  ];
  const lines = tries.map((line) =>
    `COMP_LINE='${line}'; COMP_POINT=\${#COMP_LINE}; COMPREPLY=(); _virtx_complete; echo "\${COMPREPLY[*]}"`
  );
  const script = ["source script", "COMP_WORDBREAKS=$' =:'", ...lines, "ls"].join("\n");
  const { stdout, stderr } = await run(["bash", "-c", script], {
    cwd: dir.path,
    env: { PATH: `${dir.path}:/usr/bin:/bin`, HOME: dir.path, VIRTX_API_SERVER: "127.0.0.1:9" },
  });
  assert.equal(stderr, "");
  assert.deepEqual(stdout.split("\n").slice(0, 4), ["list", "paused", "notes.yaml", ""]);
  assert.ok(!/^x$/m.test(stdout), "what is being typed is not carried out");
});
