import assert from "node:assert/strict";
import { until } from "../../scripts/lab/until.ts";
import { CliHost, DESK } from "./support/cli_host.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { LabTerminal } from "./support/lab_terminal.ts";
import { TestLab } from "./support/test_lab.ts";

/** A terminal whose shell knows colours, and tells the exit code in its prompt. */
async function openTerminal(desk: CliHost, size?: { columns: number; rows: number }): Promise<LabTerminal> {
  const terminal = await LabTerminal.open(desk.host, size);
  await terminal.line(`export TERM=screen HOME=${DESK}; cd ${DESK}; PS1='[$?] $ '; clear`);
  await terminal.shows(/^\[0\] \$ $/m);
  return terminal;
}

/** What is on the screen behind the last place where this was typed. */
async function behind(terminal: LabTerminal, typed: string): Promise<string> {
  const screen = await terminal.screen();
  return screen.slice(screen.lastIndexOf(typed) + typed.length);
}

/** Waits until something is shown behind what was typed last. */
async function seen(terminal: LabTerminal, typed: string, pattern: RegExp, timeoutMs = 30_000) {
  let shown = "";
  try {
    return await until(`${pattern} behind ${typed}`, async () => {
      shown = await behind(terminal, typed);
      return pattern.exec(shown) ?? undefined;
    }, timeoutMs);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}; it shows:\n${shown}`);
  }
}

/** Types a line and waits for what it brings. */
async function enter(terminal: LabTerminal, line: string, pattern: RegExp, timeoutMs?: number) {
  await terminal.line(line);
  return await seen(terminal, line, pattern, timeoutMs);
}

Deno.test("what a person sees of a cluster", async (t) => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const desk = await CliHost.set(cluster);
  const web1 = await desk.createGuest("web1");

  await t.step("a newcomer creates, starts, watches, migrates and deletes a VM", async () => {
    await using terminal = await openTerminal(desk);
    const step = (line: string, pattern: RegExp, timeoutMs?: number) =>
      enter(terminal, line, pattern, timeoutMs);
    const create = "virtx vm create --name web2 --memory 256MiB --disk size=64MiB --net bridge=br0";
    const [help] = await step("virtx --help | head -n 24", /FIRST STEPS[^]*\[0\] \$ $/m);
    for (
      const line of [
        create,
        "virtx vm start web2",
        "virtx vm watch",
        "virtx vm migrate web2",
        "virtx vm delete",
      ]
    ) {
      assert.ok(help.includes(line), line);
    }
    // The processor is one that the lab's hosts can emulate.
    await step(`${create} --cpu-model maximum`, /^web2: created, [0-9a-f-]{36}$/m);
    await step("virtx vm start web2", /^web2: started$/m);
    await step("virtx vm watch", /web2 +running +virt1[^]*Ctrl-C ends\./);
    await desk.must("virtx vm pause web2");
    await seen(terminal, "vm watch", /web2 +paused/);
    await desk.must("virtx vm resume web2");
    await seen(terminal, "vm watch", /web2 +running/);
    assert.equal((await behind(terminal, "vm watch")).match(/^NAME /gm)?.length, 1, "drawn in place");
    await terminal.press("C-c");
    await seen(terminal, "vm watch", /^\[0\] \$ $/m);
    const [migrated] = await step(
      "virtx vm migrate web2 --host virt2",
      /^web2: migrated from virt1 to virt2$[^]*\$ $/m,
      60_000,
    );
    assert.ok(!migrated.includes("Migrating"), "what was shown of the way is gone");
    await step("virtx vm stop web2 --force", /^web2: stopped$/m);
    await step(
      "virtx vm delete web2 --storage",
      / \/vms\/ds\/.*\nDelete web2 and its disks, which can be restored for 1d\? \[y\/N\]/m,
    );
    await terminal.line("n");
    await seen(terminal, "--storage", /^\[1\] \$ $/m);
    await step("virtx vm delete web2 -s", /\[y\/N\]/);
    await terminal.line("y");
    await seen(terminal, "web2 -s", /^web2: deleted; its disks can be restored until \d{4}-/m);
    assert.equal((await desk.sh("virtx vm get web2")).code, 4);
  });

  await t.step("a migration shows how far it is; Ctrl-C asks, and can leave or cancel it", async () => {
    await desk.boot(web1);
    await using terminal = await openTerminal(desk);
    await enter(
      terminal,
      "virtx vm migrate web1 --host virt2 --bandwidth 2MiB",
      /Migrating web1 to virt2 +━*─+ +\d+ %.* left .* MiB of \d+ MiB/,
    );
    await terminal.press("C-c");
    await seen(terminal, "2MiB", /is under way\. \[c\]ancel it, \[l\]eave it running, or \[w\]ait on\?/);
    await terminal.line("l");
    const [, id = ""] = await seen(terminal, "2MiB", /virtx operation wait ([0-9a-f-]{36})[^]*\[130\] \$/);
    assert.equal((await desk.must(`virtx operation get ${id} -o 'template={state}'`)).trim(), "running");
    await enter(terminal, `virtx operation wait ${id}`, /VmMigrate of web1 +━*─+/);
    await terminal.press("C-c");
    await seen(terminal, `wait ${id}`, /\[w\]ait on\?/);
    await terminal.line("c");
    await seen(terminal, `wait ${id}`, /virtx: Cannot migrate VM "web1"[^]*\[1\] \$ /, 60_000);
    assert.equal((await desk.must(`virtx operation get ${id} -o 'template={state}'`)).trim(), "cancelled");
    assert.match(await desk.must("virtx vm get web1 --state"), /web1 +running +virt1/);
  });

  await t.step(
    "Ctrl-C of a command over several VMs begins with no more of them, and sums up the truth",
    async () => {
      // Guests without a system, which do not listen to the power button.
      const names = ["idle1", "idle2", "idle3", "idle4"];
      for (const name of names) {
        await desk.must(
          `virtx vm create --name ${name} --memory 64MiB --disk size=8MiB --cpu-model maximum --start`,
        );
      }
      await using terminal = await openTerminal(desk);
      const line = "virtx vm stop --selector name=idle --parallel 2";
      await enter(terminal, line, /Shutting idle\d down +\d+s\nShutting idle\d down/);
      await terminal.press("C-c");
      await seen(terminal, line, /Stopped: 2 under way, 2 not begun\. Nothing more is begun\.\n.*all\?/);
      await terminal.line("l");
      await seen(
        terminal,
        line,
        /(?:^idle\d: asked to shut down\n){2}2 under way, 2 not begun\.\n\[130\] \$/m,
      );
      const stops = await desk.must("virtx operation list -o 'template={vm}'");
      assert.match(await desk.must("virtx vm kill --selector name=idle --yes"), /(idle\d: killed\n){4}/);
      assert.equal(
        stops.match(/idle/g)?.length,
        2 * names.length + 2,
        "created, started, and two asked to stop",
      );
      await desk.must("virtx vm delete --selector name=idle --storage --yes");
    },
  );

  await t.step("a narrow terminal gets tables that fit", async () => {
    const columns = 40;
    await using terminal = await openTerminal(desk, { columns, rows: 24 });
    for (const list of ["vm list", "host list", "operation list", "host top --once"]) {
      const [shown] = await enter(terminal, `virtx ${list}`, /^(NAME|ID|HOST) .*[^]*^\[0\] \$ $/m);
      for (const line of shown.split("\n")) assert.ok(line.length <= columns, `${list}: ${line}`);
    }
  });

  await t.step("colours are for terminals alone, and never with NO_COLOR", async () => {
    // script(1) is a terminal that hands on what is written to it.
    const isPainted = async (line: string) => {
      const { code, stdout } = await desk.sh(`export TERM=screen; ${line}`);
      assert.equal(code, 0, stdout);
      assert.match(stdout, /web1/);
      return stdout.includes("\x1b[");
    };
    assert.ok(await isPainted("script -qec 'virtx vm list' /dev/null"));
    assert.ok(!await isPainted("NO_COLOR=1 script -qec 'virtx vm list' /dev/null"));
    assert.ok(!await isPainted("script -qec 'virtx vm list --no-color' /dev/null"));
    assert.ok(!await isPainted("virtx vm list"));
  });

  await t.step("a pipe gets lines, and may end early", async () => {
    const { code, stdout, stderr } = await desk.sh(
      "set -o pipefail\nvirtx vm list | cat; virtx vm list | head -n 1 > /dev/null",
    );
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^NAME +STATE +HOST +VLAN +UPDATED\nweb1 +running +virt1/);
    const quiet = await desk.sh("virtx vm pause web1 -q; virtx vm resume web1 -o json");
    assert.deepEqual(
      JSON.parse(quiet.stdout).map(({ name, state }: { name: string; state: string }) => [name, state]),
      [["web1", "completed"]],
    );
  });

  await t.step("names are completed at the Tab key, also while the cluster is away", async () => {
    await using terminal = await openTerminal(desk);
    await terminal.line("bash --norc");
    await terminal.line("PS1='bash$ '; source <(virtx completion bash); clear");
    await terminal.shows(/^bash\$ $/m);
    await terminal.type("virtx vm get we");
    await terminal.press("Tab");
    await terminal.shows(/^bash\$ virtx vm get web1 $/m);
    await terminal.press("C-c");
    await terminal.line("clear; export VIRTX_API_SERVER=198.18.255.254; time virtx complete -- vm get we");
    const [, minutes, seconds] = await terminal.shows(/real\s+(\d+)m([\d.]+)s/);
    assert.ok(Number(minutes) * 60 + Number(seconds) < 5, "it does not wait for whom it cannot reach");
  });

  await t.step("guests and those who name VMs cannot write to the terminal", async () => {
    // Past the API, which takes no such name: as somebody with access to libvirt could do it.
    const xml = await desk.must(`virsh dumpxml --inactive ${web1}`);
    assert.match(xml, /<title>web1<\/title>/);
    await using terminal = await openTerminal(desk);
    const evil = "\u202eweb\u009b31m\u200b";
    await desk.must(`virsh desc ${web1} --title --config --new-desc '${evil}'`);
    await desk.must(`virsh desc ${web1} --title --live --new-desc '${evil}'`);
    await desk.must(`virtx vm register ${web1}`);
    await enter(terminal, "virtx vm list", /^\ufffdweb\ufffd31m\\u\{200b\} +running/m);
    const json = await desk.must("virtx vm list -o json");
    // What could act on a terminal has been replaced where the name was read; what is invisible only, by the client.
    const told = evil.replaceAll(/[\u202e\u009b]/g, "\ufffd");
    assert.deepEqual(JSON.parse(json).map(({ name }: { name: string }) => name), [told]);
    assert.ok(!/[\x80-\x9f\u202e]/.test(json));
  });

  await t.step("when the server dies, the next one is asked, and what is followed goes on", async () => {
    await using terminal = await openTerminal(desk);
    await enter(terminal, "virtx --server virt2,virt1 vm watch", /running +virt1[^]*Ctrl-C ends\./);
    await cluster.killDaemon(2);
    await desk.must(`virtx vm pause ${web1}`);
    await seen(terminal, "vm watch", /paused +virt1/);
    await terminal.press("C-c");
    await enter(
      terminal,
      "virtx --server virt2 vm list",
      /virtx: No server answers at http:\/\/virt2:8080: .*\n[^]*^\[69\] \$/m,
    );
  });

  await t.step("who waits for an operation waits on while the host that carries it out is away", async () => {
    await cluster.startDaemon(2);
    await cluster.complete();
    await desk.must(`virtx vm resume ${web1}`);
    const begun = await desk.must(`virtx vm migrate ${web1} --host virt2 --bandwidth 8MiB --no-wait -q`);
    const id = begun.trim();
    await using terminal = await openTerminal(desk);
    await enter(terminal, `virtx --server virt2 operation wait ${id}`, /VmMigrate of .* +━*─+/);
    await cluster.killDaemon(1);
    await cluster.startDaemon(1);
    await seen(terminal, `wait ${id}`, /completed\n\[0\] \$ /, 60_000);
  });
});
