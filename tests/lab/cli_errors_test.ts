import assert from "node:assert/strict";
import { until } from "../../scripts/lab/until.ts";
import { CliHost, DESK } from "./support/cli_host.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TerminalDesk } from "./support/terminal_desk.ts";
import { TestLab } from "./support/test_lab.ts";

Deno.test("output that cannot be written is told plainly, and what was asked for is done all the same", async () => {
  await using desk = await TerminalDesk.set(["web1", "web2"]);
  desk.vms.quick = Infinity;
  const FULL = "virtx: Cannot write the output: no space left on the device\n";
  for (
    const line of ["vm list", "vm list -o json", "--help", "version", "vm start web1 web2", "completion bash"]
  ) {
    const { code, stderr } = await desk.sh(`virtx ${line} > /dev/full`);
    assert.deepEqual([line, code, stderr], [line, 74, FULL]);
  }
  assert.deepEqual((await desk.sh("virtx vm list -o 'template={state}'")).stdout, "running\nrunning\n");
  const refused = await desk.sh("virtx vm start web1 > /dev/full");
  assert.equal(refused.code, 5, "what failed is told before what was not written");
  const unheard = await desk.sh("virtx vm get nope 2> /dev/full");
  assert.equal(unheard.code, 4);
  const closed = await desk.sh("virtx vm list >&-");
  assert.deepEqual([closed.code, closed.stderr], [74, "virtx: Cannot write the output: it is closed\n"]);
});

Deno.test("a reader that has enough ends what would go on, quietly", async () => {
  await using desk = await TerminalDesk.set(["web1", "web2"]);
  desk.vms.quick = Infinity;
  for (const command of ["vm list", "vm watch", "event tail"]) {
    const { code, stdout, stderr } = await desk.sh(
      // That the reader has gone is seen when there is more to write: so something changes until it is.
      "while sleep 0.3; do virtx vm start web1 || virtx vm kill web1 --yes; done > /dev/null 2>&1 & " +
        `timeout 30 virtx ${command} | { read line; echo "$line"; }; code=\${PIPESTATUS[0]}; kill $!; echo $code`,
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^.+\n0\n$/);
  }
});

Deno.test("where the locale is C, what people read is ASCII; names and data stay what they are", async () => {
  await using desk = await TerminalDesk.set(["web1", "日本語"], {});
  desk.vms.quick = Infinity;
  // deno-lint-ignore no-control-regex -- ASCII is what it is about
  const isAscii = (text: string) => /^[\x00-\x7f]*$/.test(text);
  for (
    const env of [{}, { LANG: "C" }, { LC_ALL: "POSIX", LANG: "en_US.UTF-8" }, {
      LC_CTYPE: "en_US.ISO-8859-1",
    }]
  ) {
    const pipe = await desk.sh(
      "virtx vm update web1 --memory 64MiB --dry-run; virtx --help; virtx vm migrate --help",
      env,
    );
    assert.ok(isAscii(pipe.stdout), pipe.stdout);
    assert.match(pipe.stdout, /^memory: 128 MiB -> 64 MiB$/m);
    const terminal = await desk.sh(
      "script -qec 'virtx vm list; virtx vm get web1; virtx operation list' /dev/null",
      env,
    );
    assert.ok(isAscii(terminal.stdout), terminal.stdout);
    assert.match(terminal.stdout, /\\u\{65e5\}\\u\{672c\}\\u\{8a9e\} +poweroff +virt1/);
    assert.match((await desk.sh("virtx vm list", env)).stdout, /^日本語 +poweroff/m);
    assert.match((await desk.sh("virtx vm list -o name", env)).stdout, /^日本語$/m);
  }
  const utf8 = await desk.sh("virtx vm update web1 --memory 64MiB --dry-run", {
    LC_CTYPE: "C.UTF-8",
    LANG: "C",
  });
  assert.match(utf8.stdout, /128 MiB → 64 MiB/);
});

Deno.test("in the locale C a migration shows its bar, and asks, in ASCII", async () => {
  await using desk = await TerminalDesk.set(["web1"], { LANG: "C" });
  await desk.startAll();
  await using terminal = await desk.terminal({ columns: 80, rows: 24 });
  await terminal.command("virtx vm migrate web1");
  await terminal.shows(/Migrating web1/);
  await terminal.press("C-c");
  await terminal.shows(/is under way\. \[c\]ancel it/);
  // deno-lint-ignore no-control-regex -- as above
  assert.match(await terminal.screen(), /^[\x00-\x7f]*$/);
  await terminal.line("c");
  await terminal.shows(/Cannot migrate VM "web1": cancelled\n/);
});

Deno.test("files, homes and editors that are not as they should be are told in words", async () => {
  await using desk = await TerminalDesk.set(["web1"]);
  const HOME = "HOME is not set, so there is no configuration file: name one by VIRTX_CONFIG";
  const cases: [line: string, code: number, message: string | RegExp][] = [
    ["HOME= virtx config set x a", 78, HOME],
    ["unset HOME; virtx vm list --profile x", 78, HOME],
    [
      "mkdir d; VIRTX_CONFIG=$PWD/d virtx vm list --profile a",
      78,
      /^Cannot read ".*\/d": it is a directory$/,
    ],
    [
      "echo garbage > g; VIRTX_CONFIG=$PWD/g virtx vm list --profile a",
      78,
      /\/g:1:8: Invalid TOML document: .*$/,
    ],
    ["head -c 300 /dev/urandom > r; VIRTX_CONFIG=$PWD/r virtx config show", 78, /\/r:1:\d+: Invalid TOML/],
    [
      "touch f; VIRTX_CONFIG=$PWD/f/x virtx config set a b",
      78,
      /Cannot read ".*": a part of the path is no directory$/,
    ],
    ["virtx vm create -f /etc", 64, 'Cannot read "/etc": it is a directory'],
    ["virtx vm start web1 --user-data /nope", 64, '--user-data: cannot read "/nope": there is no such file'],
    [
      "VISUAL=/nope/vi virtx vm edit web1",
      69,
      /^Cannot run "\/nope\/vi": there is no such program\. .*\$EDITOR$/,
    ],
    ["EDITOR=false virtx vm edit web1", 1, "The editor ended with code 1: nothing is changed"],
    ["EDITOR=rm virtx vm edit web1", 1, /^Cannot read what you wrote, ".*": there is no such file$/],
    ["virtx vm kill web1 < /dev/null", 64, /Nobody can be asked here: give --yes$/],
    ["virtx vm delete web1 <&-", 64, /Nobody can be asked here: give --yes$/],
  ];
  for (const [line, code, message] of cases) {
    const said = await desk.sh(line);
    assert.equal(said.code, code, `${line}\n${said.stderr}`);
    const [first = ""] = said.stderr.split("\n");
    if (typeof message === "string") assert.equal(first, `virtx: ${message}`);
    else assert.match(first.replace("virtx: ", ""), message);
    assert.ok(!/defect|os error| {4}at /.test(said.stderr), said.stderr);
  }
  const unchanged = await desk.sh("EDITOR=true virtx vm edit web1");
  assert.deepEqual([unchanged.code, unchanged.stderr], [0, "Nothing changes.\n"]);
  // Completion finds no place to keep what it knows, and answers all the same.
  const completed = await desk.sh("unset HOME; virtx complete -- vm get we");
  assert.deepEqual([completed.code, completed.stdout.split("\t")[0]], [0, "web1"]);
});

Deno.test("at 80 columns a list of operations says why each has failed", async () => {
  await using desk = await TerminalDesk.set(["web1", "a-name-of-thirty-two-characters0"]);
  desk.vms.quick = Infinity;
  await desk.sh(
    "virtx vm start web1; virtx vm start web1; virtx vm migrate a-name --host virt1 --cold; virtx vm pause a-name",
  );
  await using terminal = await desk.terminal({ columns: 80, rows: 40 });
  await terminal.command("virtx operation list; virtx operation get 1");
  const [shown] = await terminal.shows(/^ID[^]*ready>/m);
  const [heading = "", ...lines] = shown.split("\n");
  assert.match(heading, /^ID +OPERATION.* WHY$/);
  const why = heading.indexOf("WHY");
  const told = lines.map((line) => line.slice(why).trim()).join(" ");
  assert.match(told, /VM "web1" is in state \d, not \d/);
  for (const line of lines) assert.ok(line.length <= 80, line);
});

Deno.test("of two who change a VM at once nobody is overwritten", async (t) => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const desk = await CliHost.set(cluster);
  await desk.must(
    "virtx vm create --name web1 --host virt2 --memory 64MiB --cpu-model maximum --disk size=8MiB",
  );
  const edit = async (meanwhile: string) => {
    const script = `#!/bin/sh\n${meanwhile} >&2\nsed -i 's/^memory: .*/memory: 96MiB/' "$1"\n`;
    await cluster.host(1).exec(["tee", `${DESK}/ed.sh`], { stdin: script });
    return await desk.sh("chmod +x ed.sh; EDITOR=./ed.sh virtx vm edit web1 --yes");
  };
  await t.step("the other uses virtx", async () => {
    const { code, stdout, stderr } = await edit("virtx vm update web1 --custom owner=team7");
    assert.equal(code, 5, stderr);
    assert.match(stdout, /Meanwhile somebody else has changed web1:\ncustom owner: added \("team7"\)/);
    assert.match(stderr, /VM "web1": its definition has changed since it was read/);
    const now = await desk.must("virtx vm export web1");
    assert.match(now, /memory: 64MiB/);
    assert.match(now, /owner: team7/);
  });
  await t.step("the other uses virsh on the VM's host", async () => {
    const uuid = (await desk.must("virtx vm get web1 --state -o 'template={uuid}'")).trim();
    await cluster.host(1).exec(["mkfifo", `${DESK}/edited`, `${DESK}/changed`]);
    const edited = edit("echo now > edited; cat changed");
    await desk.must("cat edited");
    await cluster.host(2).exec(["virsh", "desc", uuid, "--config", "--title", "by-virsh"]);
    await desk.must("echo done > changed");
    const { code, stdout } = await edited;
    assert.equal(code, 5);
    assert.match(stdout, /name: web1 → by-virsh/);
    await until("the other host to hear of the new name", async () => {
      return (await desk.sh("virtx vm get by-virsh --state")).code === 0 || undefined;
    }, 30_000);
  });
  await t.step("nobody else does", async () => {
    await desk.must("virtx vm update by-virsh --memory 80MiB");
    assert.match(await desk.must("virtx vm export by-virsh"), /memory: 80MiB/);
  });
});
