import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { Listeners } from "../../../lib/api/listen.ts";
import { inBackground } from "../../../lib/model/background.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { run } from "../../../scripts/command.ts";
import { type ApiFixture, apiFixture, HERE } from "../../support/api_fixture.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { numberedUuid } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const MAIN = fileURLToPath(new URL("../../../main.ts", import.meta.url));

/** An API on a port of its own with these VMs, and the client as a process that asks it. */
async function connected(...names: string[]) {
  const stack = new AsyncDisposableStack();
  const home = stack.use(await TempDir.create());
  const fixture: ApiFixture = apiFixture();
  const listeners = stack.use(await Listeners.open(fixture.app, [{ hostname: "127.0.0.1", port: 0 }]));
  const uuids: string[] = [];
  for (const name of names) {
    const uuid = numberedUuid(uuids.length + 1);
    uuids.push(await fixture.vms.create({ vmdef: { ...SMALL_VMDEF, name }, host: HERE }, uuid));
  }
  const virtx = async (line: string, o: { stdin?: string; timeoutMs?: number } = {}) =>
    await run([Deno.execPath(), "run", "--allow-all", "--no-check", "--quiet", MAIN, ...split(line)], {
      env: {
        VIRTX_ARGV0: "/usr/bin/virtx",
        VIRTX_API_SERVER: listeners.addresses[0] ?? "",
        HOME: home.path,
        LC_ALL: "C.UTF-8",
      },
      ...o,
    });
  return { ...fixture, uuids, virtx, home, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Words, of which some are in single quotes. */
function split(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare = ""]) => quoted ?? bare);
}

Deno.test("VMs are listed with the names of their hosts, in every format", async () => {
  await using api = await connected("web1", "db1");
  const table = await api.virtx("vm list");
  assert.match(
    table.stdout,
    /^NAME +STATE +HOST +VLAN +UPDATED\ndb1 +poweroff +virt1 +- .*\nweb1 +poweroff +virt1 /,
  );
  assert.equal((await api.virtx("vm list -o name")).stdout, "db1\nweb1\n");
  assert.equal((await api.virtx("vm list --no-headers --sort=-name --limit 1")).stdout.split(" ")[0], "web1");
  assert.equal((await api.virtx("vm list -o 'template={name}@{host}'")).stdout, "db1@virt1\nweb1@virt1\n");
  const [first] = JSON.parse((await api.virtx("vm list -o json -n web")).stdout);
  assert.deepEqual([first.name, first.state, first.uuid], ["web1", "poweroff", api.uuids[0]]);
  assert.match(
    (await api.virtx("vm list -o yaml")).stdout,
    /^- uuid: .*\n {2}name: db1\n {2}state: poweroff\n/,
  );
  assert.equal(first.seen, null); // the test's VMs have no host that was heard of
  assert.equal((await api.virtx("vm list --state off -o name")).stdout, "db1\nweb1\n");
  assert.equal((await api.virtx("vm list --state unknown -o name")).stdout, "");
  const none = await api.virtx("vm list -n nothing");
  assert.deepEqual([none.code, none.stdout, none.stderr], [0, "", "No VMs.\n"]);
});

Deno.test("several VMs are changed at once, with a line for each result and a code that tells", async () => {
  await using api = await connected("web1", "web2", "web3");
  const all = await api.virtx("vm start --selector name=web");
  assert.deepEqual([all.code, all.stdout.split("\n").sort().join("\n")], [
    0,
    "\nweb1: started\nweb2: started\nweb3: started",
  ]);
  await api.vms.pause(api.uuids[1] ?? "");
  const some = await api.virtx("vm pause web1 web2 web1");
  assert.deepEqual([some.code, some.stdout], [1, "web1: paused\n"]);
  assert.match(some.stderr, /^web2: VM "web2" is in state 5, not 4 \(request [\w-]+\)\n1 of 2 failed\.\n$/);
  const json = JSON.parse((await api.virtx("vm resume web1 web3 -o json --parallel 1")).stdout);
  assert.deepEqual(json.map(({ name, state }: { name: string; state: string }) => [name, state]), [
    ["web1", "completed"],
    ["web3", "failed"],
  ]);
  const nobody = await api.virtx("vm stop -l name=nothing");
  assert.deepEqual([nobody.code, nobody.stderr], [0, "No VM passes --selector name=nothing.\n"]);
});

Deno.test("a failure says what and why, with the request, and its kind decides the exit code", async () => {
  await using api = await connected("web1", "web1");
  const unknown = await api.virtx("vm get nope");
  assert.deepEqual([unknown.code, unknown.stdout], [4, ""]);
  assert.equal(unknown.stderr, 'virtx: There is no VM "nope"\nvirtx vm list shows all there are.\n');
  const operation = await api.virtx("operation get nope");
  assert.equal(
    operation.stderr,
    'virtx: There is no operation "nope"\nvirtx operation list shows all there are.\n',
  );
  const ambiguous = await api.virtx("vm get web1");
  assert.equal(ambiguous.code, 5);
  for (const uuid of api.uuids) assert.ok(ambiguous.stderr.includes(`  ${uuid}  virt1/web1  poweroff\n`));
  const one = `vm start ${api.uuids[0]}`;
  api.vms.obstacle = new VirtxError("refused", "Cannot start domain x", {
    libvirt: { code: 1, domain: 10, level: 2, message: "no emulator" },
  });
  const refused = await api.virtx(one);
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /^virtx: Cannot start domain x \(request [\w-]+\)\n {2}libvirt: no emulator\n$/,
  );
  const hints: [said: string, hint: RegExp][] = [
    ["Cannot get interface MTU on 'br7': No such device", /There is no bridge br7 on that host/],
    ["Requested operation is not valid: network 'lan' is not active", /virsh net-start lan starts one/],
    ["Network not found: no network with matching name 'lan'", /virsh net-start lan/],
    [
      "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory",
      /virtx host list shows/,
    ],
    ['internal error: Failed to get "write" lock', /Another process has its disk open/],
  ];
  for (const [said, hint] of hints) {
    const libvirt = { code: 1, domain: 10, level: 2, message: said };
    api.vms.obstacle = new VirtxError("refused", "Cannot start it", { libvirt });
    assert.match((await api.virtx(one)).stderr, hint);
  }
  api.vms.obstacle = new VirtxError("unavailable", "libvirt is away", { retryAfterS: 5 });
  const away = await api.virtx(one);
  assert.deepEqual([away.code, away.stderr.split("\n")[1]], [69, "Try again in 5 s."]);
  const profile = await api.virtx("vm list --profile lab");
  assert.deepEqual([profile.code, profile.stdout], [78, ""]);
  assert.match(profile.stderr, /^virtx: There is no profile "lab": .*config\.toml has no profiles\n$/);
  const invalid = await api.virtx("vm create --name web2 --memory 1GB --disk size=64MiB");
  assert.equal(invalid.code, 64);
  assert.match(invalid.stderr, /--memory must be in units of 1024: did you mean 1GiB\?/);
});

Deno.test("a VM is made of flags or of a file, changed, printed and deleted", async () => {
  await using api = await connected();
  const created = await api.virtx("vm create -f - --name web9 --memory 256MiB", {
    stdin: JSON.stringify({
      name: "x",
      memory: "128MiB",
      disks: [{ path: "/vms/ds/x.qcow2" }],
      custom: { a: "b" },
    }),
  });
  assert.match(created.stdout, /^web9: created, [0-9a-f-]{36}\n$/);
  const changed = await api.virtx("vm update web9 --memory 512MiB --custom a=c --vlan 7");
  assert.deepEqual(changed.stdout.split("\n"), [
    "memory: 256 MiB → 512 MiB",
    "vlan: none → 7",
    'custom a value: "b" → "c"',
    "web9: changed",
    "",
  ]);
  assert.deepEqual([(await api.virtx("vm update web9 --vlan 7")).stderr], ["Nothing changes.\n"]);
  const lun = "path=/dev/mapper/x,device=lun,bus=virtio-scsi,management=managed,provisioning=thin";
  const unwiped = await api.virtx(`vm create --name lun1 --memory 64MiB --disk ${lun}`);
  assert.match(
    unwiped.stdout,
    /^lun1: created, [0-9a-f-]{36}; not wiped, as virtxd never wipes a LUN: "\/dev\/mapper\/x"\n$/,
  );
  const text = (await api.virtx("vm export web9 --format toml")).stdout;
  const again = await api.virtx("vm create -f - --dry-run -o json", { stdin: text });
  assert.deepEqual([JSON.parse(again.stdout).name, JSON.parse(again.stdout).memory], ["web9", "512MiB"]);
  api.vms.flaw = "libvirt does not tell it now: its QEMU hangs";
  const partial = await api.virtx("vm export web9");
  assert.deepEqual([partial.code, partial.stdout], [5, ""]);
  assert.match(
    partial.stderr,
    /Cannot export VM "web9": its definition is not all there: libvirt .*: its QEMU hangs/,
  );
  assert.match(
    (await api.virtx("vm get web9")).stdout,
    /^Definition +only a part of it: libvirt does not tell/m,
  );
  api.vms.flaw = undefined;
  const unasked = await api.virtx("vm delete web9");
  assert.deepEqual([unasked.code, unasked.stderr], [
    64,
    "virtx: Delete web9? Nobody can be asked here: give --yes\n",
  ]);
  api.vms.outcome = { warning: 'the disk "/vms/ds/x.qcow2" is in use' };
  const deleted = await api.virtx("vm delete web9 --yes");
  assert.equal(deleted.stdout, 'web9: deleted; the disk "/vms/ds/x.qcow2" is in use\n');
});

Deno.test("an exported definition under another name makes a VM like it, with nothing that only one may have", async () => {
  await using api = await connected();
  const genid = numberedUuid(77);
  const flags =
    "--memory 512MiB --disk size=64MiB --disk /vms/ds/i.iso --disk path=/vms/ds/old.raw,size=8MiB" +
    " --net bridge=br0,mac=52:54:00:00:00:01 --net network=default --firmware uefi --custom owner=me";
  await api.virtx(`vm create --name db1 --genid ${genid} ${flags}`);
  const { stdout: exported } = await api.virtx("vm export db1");
  assert.match(exported, /52:54:00:00:00:01/);
  const cloned = await api.virtx("vm create -f - --name db2", { stdin: exported });
  assert.deepEqual([cloned.code, cloned.stderr], [
    0,
    "db2 is made like db1, with empty disks, MAC addresses and a generation id of its own.\n",
  ]);
  const [{ def: one }, { def: two }] = await Promise.all(
    ["db1", "db2"].map(async (name) => JSON.parse((await api.virtx(`vm get ${name} -o json`)).stdout)),
  );
  assert.deepEqual(two.disks, [
    { ...one.disks[0], path: "/vms/ds/db2/disk0.qcow2" },
    one.disks[1],
    { ...one.disks[2], path: "/vms/ds/db2/disk1.qcow2" },
  ]);
  assert.deepEqual(two.nets, [{ bridge: "br0", model: "virtio" }, { network: "default", model: "virtio" }]);
  assert.notEqual(two.genid, genid);
  assert.deepEqual([two.memory, two.firmware, two.custom], ["512MiB", "uefi", { owner: "me" }]);

  // Under its own name it is the same VM again, to the last address.
  const again = await api.virtx("vm create -f - --dry-run -o json", { stdin: exported });
  assert.match(again.stdout, new RegExp(`52:54:00:00:00:01[^]*${genid}`));
  const changed = await api.virtx("vm update db1 -f - --name db9 --dry-run", { stdin: exported });
  assert.deepEqual([changed.code, changed.stdout], [0, "name: db1 → db9\n"]);

  const sizeless = "name: a\nmemory: 64MiB\ndisks: [{path: /vms/ds/a.qcow2, management: managed}]\n";
  const impossible = await api.virtx("vm create -f - --name b", { stdin: sizeless });
  assert.equal(impossible.code, 64);
  assert.match(
    impossible.stderr,
    /Cannot make VM "b" like "a": \/vms\/ds\/a\.qcow2 cannot be made anew without a size/,
  );
});

Deno.test("a dry run shows what the host says, and its code tells whether it can be done", async () => {
  await using api = await connected("web1");
  const obstacle = { field: "vmdef.disks[0].path", message: "it does not exist" };
  const warning = { field: "vmdef.memory.total", message: "it can never start here" };
  const flags = "--memory 64MiB --disk size=8MiB --dry-run";
  api.vms.verdict = { ...api.vms.verdict, warnings: [warning] };
  const fits = await api.virtx(`vm create --name web1 ${flags}`);
  assert.equal(fits.code, 0);
  assert.match(fits.stdout, /^name: web1\n/);
  assert.deepEqual(fits.stderr.split("\n"), [
    "warning: memory.total: it can never start here",
    "Host virt1 can do this; nothing was done.",
    "",
  ]);
  api.vms.verdict = { ...api.vms.verdict, fits: false, obstacles: [obstacle] };
  for (const line of [`vm create --name web2 ${flags}`, "vm update web1 --memory 96MiB --dry-run"]) {
    const refused = await api.virtx(line);
    assert.equal(refused.code, 1, line);
    assert.match(
      refused.stderr,
      /^refused: disks\[0\]\.path: it does not exist\n[^]*Host virt1 would refuse this\.\n$/,
    );
  }
  assert.equal((await api.virtx("vm list -o name")).stdout, "web1\n");
});

Deno.test("a new name is none that a command line or a person would mistake; old ones can be dealt with", async () => {
  await using api = await connected("-x");
  for (const name of ["-y", "--help"]) {
    const { code, stderr } = await api.virtx(`vm create --name=${name} --memory 64MiB --disk size=8MiB`);
    assert.equal(code, 64);
    assert.match(stderr, /The name ".*" must not/);
    const vmdef = { ...SMALL_VMDEF, name };
    const refused = await api.call("POST", "/vms", { vmdef, host: "" });
    assert.equal(refused.status, 400);
    assert.match(await refused.text(), /vmdef\.name/);
  }
  assert.equal((await api.virtx("vm start -- -x")).code, 0);
  assert.match((await api.virtx("vm get --state -- -x")).stdout, /^-x +running/m);
});

Deno.test("what is probably meant is told: a unit, a name in place of a file", async () => {
  await using api = await connected();
  const file = await api.virtx("vm create web9 --memory 1GiB");
  assert.equal(file.code, 64);
  assert.match(file.stderr, /"web9": there is no such file; a VM of that name is made by --name web9/);
  const bare = await api.virtx("vm create --name web9 --memory 2 --disk size=20");
  assert.equal(bare.code, 64);
  assert.match(bare.stderr, /--memory must have a unit: 2MiB or 2GiB\?/);
  assert.match(bare.stderr, /--disk size must have a unit: 20MiB or 20GiB\?/);
  const yaml = "name: a\nmemory: 2\ndisks: [{size: 20}]\n";
  const inFile = await api.virtx("vm create -f -", { stdin: yaml });
  assert.equal(inFile.code, 64);
  assert.match(inFile.stderr, /memory must have a unit: 2MiB or 2GiB\?/);
  assert.match(inFile.stderr, /disks\[0\]\.size must have a unit/);
});

Deno.test("an editor changes a definition; what it leaves is checked, and nothing stays behind", async () => {
  await using api = await connected("web1");
  const editor = async (name: string, script: string) => {
    await Deno.writeTextFile(api.home.at(name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const env = { EDITOR: `${api.home.at(name)} --wait`, TMPDIR: api.home.path };
    const argv = ["env", ...Object.entries(env).map(([key, value]) => `${key}=${value}`)];
    return argv;
  };
  const edit = async (name: string, script: string) => {
    const prefix = await editor(name, script);
    return await run([
      ...prefix,
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      "--quiet",
      MAIN,
      "vm",
      "edit",
      "web1",
      "-y",
    ], {
      env: {
        VIRTX_ARGV0: "virtx",
        HOME: api.home.path,
        VIRTX_API_SERVER: (await api.virtx("config show -o name")).stdout.trim(),
        XDG_RUNTIME_DIR: "",
        LC_ALL: "C.UTF-8",
      },
    });
  };
  const good = await edit("good", 'sed -i "s/memory: 128MiB/memory: 1GiB/" "$2"');
  assert.deepEqual([good.code, good.stdout], [0, "memory: 128 MiB → 1 GiB\nweb1: changed\n"]);
  const other =
    `${Deno.execPath()} run -A --no-check --quiet ${MAIN} vm update web1 --custom owner=team7 >&2`;
  const late = await edit("late", `${other}\nsed -i "s/memory: 1GiB/memory: 2GiB/" "$2"`);
  assert.deepEqual(
    [late.code, late.stdout],
    [5, 'memory: 1 GiB → 2 GiB\nMeanwhile somebody else has changed web1:\ncustom owner: added ("team7")\n'],
  );
  assert.match(late.stderr, /VM "web1": its definition has changed since it was read/);
  const { memory, custom } = (await api.vms.get(api.uuids[0] ?? "")).def;
  assert.deepEqual([memory.total, custom], [1024, [{ name: "owner", value: "team7" }]]);
  const same = await edit("same", ":");
  assert.deepEqual([same.code, same.stderr], [0, "Nothing changes.\n"]);
  const bad = await edit("bad", 'sed -i "s/memory:/memry:/" "$2"');
  assert.equal(bad.code, 64);
  assert.match(bad.stderr, /memry.*did you mean/);
  const left = await edit("left", "exit 3");
  assert.deepEqual([left.code, left.stderr], [
    1,
    "virtx: The editor ended with code 3: nothing is changed\n",
  ]);
  const names = (await Array.fromAsync(Deno.readDir(api.home.path))).map(({ name }) => name);
  assert.deepEqual(names.filter((name) => name.startsWith("virtx-")), []);
});

Deno.test("a change can be left running, looked up, waited for and cancelled", async () => {
  await using api = await connected("web1");
  const gate = Promise.withResolvers<void>();
  api.vms.gate = gate.promise;
  const begun = await api.virtx("vm start web1 --no-wait");
  assert.match(begun.stdout, /^web1: starting, operation [0-9a-f-]{36}\n$/);
  const [id = ""] = /[0-9a-f-]{36}/.exec(begun.stdout) ?? [];
  assert.match(
    (await api.virtx("operation list")).stdout,
    new RegExp(`^${id}  start      web1  virt1  running`, "m"),
  );
  const late = await api.virtx(`operation wait ${id} --timeout 300ms`);
  assert.equal(late.code, 75);
  assert.match(
    late.stderr,
    new RegExp(`^virtx: Not done within 0\\.3 s \\(--timeout\\); it goes on as operation ${id}\n`),
  );
  const uncancelled = await api.virtx(`operation cancel ${id.slice(0, 20)}`);
  assert.equal(uncancelled.code, 5);
  const waiting = api.virtx(`operation wait ${id}`);
  gate.resolve();
  assert.deepEqual(await waiting.then(({ code, stdout }) => [code, stdout]), [
    0,
    `${id}: VmBoot of web1 completed\n`,
  ]);
  assert.match((await api.virtx(`operation get ${id}`)).stdout, /^State +completed$/m);
  assert.match((await api.virtx("vm log web1")).stdout, /start +web1 +virt1 +completed/);
});

Deno.test("--no-wait with -q prints the operation alone, for scripts", async () => {
  await using api = await connected("web1");
  assert.match((await api.virtx("vm start web1 --no-wait -q")).stdout, /^[0-9a-f-]{36}\n$/);
});

Deno.test("waiting for a state, and following events, ends as it is told", async () => {
  await using api = await connected("web1");
  const waiting = api.virtx("vm wait web1 --for running --timeout 20s");
  const following = api.virtx("event tail --type vm --count 1 --timeout 20s");
  const watching = api.virtx("vm watch web1 --timeout 5s");
  // When the processes follow cannot be seen from here; so there is something to follow all the time.
  const stir = async () => {
    const [uuid = ""] = api.uuids;
    const { runstate } = await api.vms.get(uuid).then(({ runinfo }) => runinfo);
    if (runstate === Runstate.poweroff) await api.vms.boot(uuid, { cloud_init: [] });
    else if (runstate === Runstate.running) await api.vms.pause(uuid);
    else await api.vms.resume(uuid);
  };
  const stirring = setInterval(() => inBackground(stir()), 300);
  try {
    const [waited, followed, watched] = await Promise.all([waiting, following, watching]);
    assert.deepEqual([waited.code, waited.stdout], [0, "web1: running\n"]);
    assert.equal(followed.code, 0);
    assert.match(followed.stdout, /^\d{4}-\d\d-\d\dT\S+Z vm web1 is (running|paused) on virt1\n$/);
    assert.equal(watched.code, 0);
    assert.match(watched.stdout, /Z web1 running on virt1\n/);
    assert.match(watched.stdout, /Z web1 paused on virt1\n/);
  } finally {
    clearInterval(stirring);
  }
});

Deno.test("the cluster is summed up, and what its hosts say is compared", async () => {
  await using api = await connected("web1", "web2");
  await using other = await connected("web1");
  assert.match((await api.virtx("cluster status")).stdout, /^Hosts +1 active\nVMs +2 poweroff$/m);
  const [here, there] = await Promise.all(
    [api, other].map(async ({ virtx }) => (await virtx("config show -o name")).stdout.trim()),
  );
  const alone = await api.virtx("cluster verify");
  assert.deepEqual([alone.code, alone.stdout], [0, "Only one host was asked; it knows 1 host and 2 VMs.\n"]);
  const same = await api.virtx(`cluster verify --addresses ${here},${here}`);
  assert.deepEqual([same.code, same.stdout], [0, "2 hosts agree upon 1 host and 2 VMs.\n"]);
  const different = await api.virtx(`cluster verify --addresses ${here},${there}`);
  assert.equal(different.code, 1);
  assert.match(different.stdout, /^vm web2 +listed +.*: not known/m);
  const gone = await api.virtx(`cluster verify --addresses ${here},127.0.0.1:9`);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /^http:\/\/127\.0\.0\.1:9 cannot be asked: No server answers/);
});

Deno.test("virtxd is the client, too, for what is no flag of the daemon", async () => {
  const { code, stderr } = await run([
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
    "--quiet",
    MAIN,
    "vm",
    "lst",
  ]);
  assert.deepEqual([code, stderr.split("\n")[0]], [
    64,
    'virtxd: there is no vm command "lst" (did you mean "vm list"?)',
  ]);
});
