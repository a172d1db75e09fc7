import assert from "node:assert/strict";
import { allCommands } from "../../../lib/cli/commands/table.ts";
import type { Input } from "../../../lib/cli/input.ts";
import { parse } from "../../../lib/cli/parse.ts";

function inputOf(...args: string[]): Input {
  const request = parse(args);
  assert.ok(request.kind === "run", JSON.stringify(request));
  return request.input;
}

function mistakes(...args: string[]): readonly string[] {
  const request = parse(args);
  assert.ok(request.kind === "mistake", JSON.stringify(request));
  return request.messages;
}

/** What a command line comes to: command, words and flags. */
function meaning(line: string) {
  const input = inputOf(...line.split(" "));
  const { path, flags = [], arguments: args = [] } = input.command;
  const given = [...flags.map(({ name }) => name), "server", "output"].filter((name) => input.flag(name));
  return {
    path: path.join(" "),
    words: args.flatMap(({ name }) => input.words(name)),
    flags: Object.fromEntries(given.map((name) => [name, input.strings(name)])),
  };
}

Deno.test("a command is a noun and a verb, with its words and flags in any order", () => {
  for (
    const line of [
      "vm get web1 -o json",
      "vm -o json get web1",
      "-o=json vm get web1",
      "vm get -ojson -- web1",
    ]
  ) {
    assert.deepEqual(meaning(line), { path: "vm get", words: ["web1"], flags: { output: ["json"] } }, line);
  }
});

Deno.test("flags take their value behind them or behind an equals sign, and letters stand together", () => {
  assert.deepEqual(inputOf("vm", "list", "--name=a=b", "-s", "running").string("name"), "a=b");
  assert.equal(inputOf("vm", "stop", "web1", "-ff").count("force"), 2);
  assert.equal(inputOf("vm", "stop", "web1", "-fq").flag("quiet"), true);
  assert.deepEqual(inputOf("vm", "create", "--disk", "size=1GiB", "--disk=path=/x").strings("disk"), [
    "size=1GiB",
    "path=/x",
  ]);
  assert.equal(inputOf("vm", "list", "--name", "a", "--name", "b").string("name"), "b");
  assert.equal(inputOf("vm", "create", "-f", "-").string("file"), "-");
});

Deno.test("what stands behind two dashes is no flag", () => {
  assert.deepEqual(inputOf("vm", "start", "--", "-odd", "--name").words("vm"), ["-odd", "--name"]);
});

Deno.test("nothing, or a noun alone, asks for help, and so does the flag wherever it stands", () => {
  assert.deepEqual(parse([]), { kind: "help", about: undefined });
  assert.deepEqual(parse(["--no-color"]), { kind: "help", about: undefined });
  for (const args of [["vm"], ["vm", "--help"]]) {
    const request = parse(args);
    assert.ok(request.kind === "help" && request.about !== undefined && "commands" in request.about);
  }
  for (const args of [["vm", "get", "-h"], ["vm", "get", "--no-such-flag", "--help"], ["-h", "vm", "get"]]) {
    const request = parse(args);
    assert.ok(
      request.kind === "help" && request.about !== undefined && "path" in request.about,
      args.join(" "),
    );
  }
  assert.deepEqual(parse(["--version"]), { kind: "version" });
});

Deno.test("what is wrong is told at once, with what was probably meant", () => {
  assert.deepEqual(mistakes("vn", "list"), ['there is no command "vn" (did you mean "vm"?)']);
  assert.deepEqual(mistakes("vm", "lst"), ['there is no vm command "lst" (did you mean "vm list"?)']);
  assert.deepEqual(mistakes("vm", "get"), [
    "<vm> is missing: its name or UUID, or the beginning of either; or host/name",
  ]);
  assert.deepEqual(mistakes("vm", "list", "--nam", "x", "-Z", "--quiet=1", "--state=runing", "--host"), [
    "vm list has no flag --nam (did you mean --name?)",
    "vm list has no flag -Z",
    "--quiet takes no value",
    '--state must be one of running, poweroff, paused, crashed, startup, migrating, terminating, pmsuspended, unknown; not "runing" (did you mean running?)',
    "--host needs a value: <host>",
    'vm list takes no further argument "x"',
  ]);
  assert.deepEqual(mistakes("completion", "tcsh"), ['<shell> must be one of bash, zsh, fish; not "tcsh"']);
  assert.deepEqual(mistakes("--quite"), ["there is no flag --quite"]);
});

Deno.test("the prototype's spelling, verb first, means the same", () => {
  const same: [string, string][] = [
    [
      "list vm -n web -h virt1 -s 4 -v 7 -N owner -V me",
      "vm list --name web --host virt1 --state 4 --vlanid 7 --custom-name owner --custom-value me",
    ],
    [
      "list host -n v -a x86_64 -v Intel -s 1 -m 1024 -H 2",
      "host list --name v --arch x86_64 --vendor Intel --state 1 --memory 1024 --hp 2",
    ],
    ["-o json list vm", "vm list -o json"],
    ["get vm web1 -k --stat-net -C", "vm get web1"],
    ["get runstate vm web1", "vm get --state web1"],
    ["get migrate vm web1", "vm get --migration web1"],
    ["get host virt1 -M", "host get virt1"],
    ["create vm web1.json -h virt1", "vm create web1.json --host virt1"],
    ["create vm -f web1.json", "vm create --file web1.json"],
    ["update vm web1 web1.json -s", "vm update web1 web1.json --storage"],
    ["delete vm web1 --storage", "vm delete --yes web1 --storage"],
    ["boot vm web1", "vm start web1"],
    ["shutdown vm web1 -ff", "vm stop web1 --force --force"],
    ["pause vm web1", "vm pause web1"],
    ["resume vm web1", "vm resume web1"],
    ["migrate vm -l -h virt2 web1", "vm migrate --live --host virt2 web1"],
    ["abort migrate vm web1", "vm migrate --abort web1"],
    ["register vm --host virt1 web1", "vm register --host virt1 web1"],
    ["console vm web1", "vm console web1"],
    ["list vm --state running", "vm list --state running"],
    ["-A virt1 list vm", "vm list --server virt1"],
    ["list vm --api-server virt1", "vm list --server virt1"],
  ];
  for (const [theirs, ours] of same) assert.deepEqual(meaning(theirs), meaning(ours), theirs);
  const help = parse(["migrate", "vm", "-?"]);
  assert.ok(help.kind === "help");
});

Deno.test("words and flags of other tools are answered by what they are here", () => {
  const cases: [line: string, meant: string][] = [
    ["ls", "vm list"],
    ["ps", "vm list"],
    ["show web1", "vm get"],
    ["start web1", "vm start"],
    ["list", "vm list"],
    ["shutdown web1", "vm stop"],
    ["reboot web1", "vm restart"],
    ["undefine web1", "vm delete"],
    ["dumpxml web1", "vm export"],
    ["nodes", "host"],
    ["jobs", "operation"],
    ["top", "host top"],
    ["vm ls", "vm list"],
    ["vm show web1", "vm get"],
    ["vm shutdown web1", "vm stop"],
    ["vm reboot web1", "vm restart"],
    ["vm rm web1", "vm delete"],
    ["vm destroy web1", "vm kill, which ends its guest, or vm delete"],
    ["vm rename web1 web2", "vm update"],
    ["vm clone web1", "vm create"],
    ["vm move web1", "vm migrate"],
    ["host ls", "host list"],
    ["host drain virt1", "vm migrate --selector host=<host>"],
    ["operation abort x", "operation cancel"],
  ];
  for (const [line, meant] of cases) {
    const [message = "", ...others] = mistakes(...line.split(" "));
    assert.ok(message.endsWith(`(did you mean "${meant}"?)`), `${line}: ${message}`);
    assert.deepEqual(others, []);
  }
  const flags: [line: string, meant: string][] = [
    ["vm create --ram 2G", "--memory"],
    ["vm create --vcpus 2", "--cpus"],
    ["vm create --cdrom x.iso", "--disk path=/vms/ds/<image>.iso"],
    ["vm create --network br0", "--net bridge=<bridge>"],
    ["vm migrate web1 --to virt2", "--host"],
    ["vm migrate web1 --offline", "--cold"],
    ["vm delete web1 --remove-all-storage", "--storage"],
    ["vm start --all", "--selector <filters>"],
    ["vm list --all", "--state <state>"],
    ["vm list --json", "--output json"],
    ["vm stop web1 --hard", "--force"],
  ];
  for (const [line, meant] of flags) {
    const [message = ""] = mistakes(...line.split(" "));
    assert.ok(message.endsWith(`(did you mean ${meant}?)`), `${line}: ${message}`);
  }
  // What is known of other tools is not taken for ours.
  for (const word of ["constructor", "toString", "__proto__"]) {
    assert.deepEqual(mistakes(word), [`there is no command "${word}"`]);
    assert.deepEqual(mistakes("vm", "list", `--${word}`), [`vm list has no flag --${word}`]);
    assert.equal(mistakes("vm", "list", "--state", word).length, 1);
  }
});

Deno.test("a state has one word everywhere, and those that it had or has elsewhere are understood", () => {
  for (const [said, meant] of [["none", "unknown"], ["off", "poweroff"], ["shutoff", "poweroff"]]) {
    assert.deepEqual(meaning(`vm list --state ${said}`), meaning(`vm list --state ${meant}`));
    assert.deepEqual(meaning(`vm wait web1 --for ${said}`), meaning(`vm wait web1 --for ${meant}`));
  }
  assert.deepEqual(
    meaning("vm list --runstate running --sort -runstate"),
    meaning("vm list --state running --sort=-state"),
  );
  assert.deepEqual(meaning("vm get web1 --runstate"), meaning("vm get web1 --state"));
});

Deno.test("behind -- words are names, whatever they begin with", () => {
  const request = parse(["vm", "get", "--state", "--", "-x"]);
  assert.ok(request.kind === "run" && request.input.required("vm") === "-x");
});

Deno.test("every example of every command can be parsed, and there is one for each", () => {
  for (const { path, examples } of allCommands()) {
    assert.ok(examples.length > 0, path.join(" "));
    for (const { command } of examples) {
      const calls = [...command.matchAll(/\bvirtx ((?:[^|()'>]|'[^']*')+)/g)].map(([, args = ""]) => args);
      assert.ok(calls.length > 0, command);
      for (const call of calls) {
        const words = [...call.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare = ""]) => quoted ?? bare)
          .filter((word) => !word.startsWith("$"));
        const request = parse(words);
        // What a $(…) would bring is left out here.
        const isWhole = !command.includes("$(");
        assert.ok(request.kind !== "mistake" || !isWhole, `${command}: ${JSON.stringify(request)}`);
      }
    }
  }
});

Deno.test("what the README shows of the command line can be parsed", async () => {
  const readme = await Deno.readTextFile(new URL("../../../README.md", import.meta.url));
  const calls = [...readme.matchAll(/^(?:source <\()?virtx ([^#>)\n]+)/gm)].map(([, call = ""]) =>
    call.trim()
  );
  assert.ok(calls.length >= 10);
  for (const call of calls) assert.equal(parse(call.split(" ")).kind, "run", call);
});

Deno.test("the table is in order: names, letters and words are unique and end as they must", () => {
  const paths = allCommands().map(({ path }) => path.join(" "));
  assert.equal(new Set(paths).size, paths.length);
  for (const { path, summary, flags = [], arguments: args = [] } of allCommands()) {
    const common = ["server", "profile", "output", "no-headers", "no-color", "quiet", "timeout", "help"];
    const names = [...flags.map(({ name }) => name), ...common];
    const letters = [...flags.flatMap(({ short }) => short ?? []), "o", "q", "h"];
    assert.equal(new Set(names).size, names.length, path.join(" "));
    assert.equal(new Set(letters).size, letters.length, path.join(" "));
    assert.match(summary, /^[A-Z].*[^.]$/, path.join(" "));
    for (const argument of args.slice(0, -1)) assert.ok(!argument.many && !argument.optional, path.join(" "));
  }
});
