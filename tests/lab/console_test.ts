import assert from "node:assert/strict";
import { CONSOLE_CLOSE } from "../../lib/api/console_protocol.ts";
import { allCommands } from "../../lib/cli/commands/table.ts";
import { until } from "../../scripts/lab/until.ts";
import { refusal } from "../support/libvirt_connections.ts";
import { Scene, User } from "./support/console_scene.ts";
import { LabTerminal } from "./support/lab_terminal.ts";

/** Lines of 7 bytes that make 112 KiB, which an emulated guest prints in some seconds. */
const LINES = 16_384;
const VIRTXD = "/usr/local/bin/virtxd";

Deno.test("through any host a guest's console is used, whole and in order, by one user at a time", async (t) => {
  await using scene = await Scene.up();
  let user = await User.at(scene, 2);

  await t.step("input arrives, through another host", async () => {
    await user.send("say hello");
    await user.expect(/guest says: hello\r\r\n/);
  });

  await t.step("112 KiB of output arrives as it was printed", async () => {
    const numbers = Array.from({ length: LINES }, (_, at) => String(at + 1).padStart(5, "0"));
    await user.send(`count ${LINES}`);
    const output = await user.expect(/guest count: done\r\r\n/);
    const wanted = `${numbers.join("\r\n")}\r\nguest count: done\r\r\n`;
    assert.equal(output.length, wanted.length);
    assert.ok(output === wanted, "lines are missing, or in another order");
  });

  await t.step("8 KiB of input arrives as it was typed", async () => {
    const words = Array.from({ length: 100 }, (_, at) => `w${at}-${"x".repeat(70)}`);
    await Promise.all(words.map((word) => user.send(`say ${word}`)));
    for (const word of words) await user.expect(new RegExp(`guest says: ${word}\\s`));
  });

  await t.step("a second user is told that it is taken, and takes it by force", async () => {
    const error = await refusal(User.at(scene, 1));
    assert.equal(error.kind, "conflict");
    assert.match(error.message, /VM "web1": another user has it/);
    const first = user;
    user = await User.at(scene, 1, true);
    const { code, reason } = await first.end();
    assert.equal(code, CONSOLE_CLOSE.taken, reason);
    await user.send("say mine");
    await user.expect(/guest says: mine/);
  });

  await t.step("who comes when the console is given back has it without force", async () => {
    user.line.close();
    await user.line.ended;
    user = await until("the console to be free", () => User.at(scene, 2).catch(() => undefined), 10_000);
  });

  await t.step("a paused guest's console stays", async () => {
    const daemon = scene.cluster.daemon(1);
    await daemon.json("POST", `/vms/${scene.vm}/runstate/pause`);
    await user.send("say later");
    await daemon.json("DELETE", `/vms/${scene.vm}/runstate/pause`);
    await user.expect(/guest says: later/);
  });

  await t.step("a guest that stops ends it, and one that is off has none", async () => {
    await user.send("poweroff");
    assert.deepEqual(await user.end(), { code: CONSOLE_CLOSE.stopped, reason: 'VM "web1" has stopped' });
    const error = await refusal(User.at(scene, 2));
    assert.equal(error.kind, "conflict");
    assert.equal(error.message, 'Cannot open the console of VM "web1": it is not running');
  });
});

Deno.test("consoles end with what they stand on, each with its reason, and leave nothing behind", async (t) => {
  await using scene = await Scene.up();
  const { cluster } = scene;
  const host = cluster.host(1);

  await t.step("libvirt dies", async () => {
    const users = [await User.at(scene, 1)];
    await host.exec(["kill", "-9", (await host.exec(["cat", "/run/libvirtd.pid"])).trim()]);
    for (const user of users) assert.equal((await user.end()).code, CONSOLE_CLOSE.lost);
    await scene.hosts.lab.lab.boot(host);
  });

  const opened = () => until("a console", () => User.at(scene, 2).catch(() => undefined), 30_000);

  await t.step("the VM's host stops virtxd, at once although a console is open", async () => {
    const user = await opened();
    const daemon = cluster.daemon(1);
    const stopping = performance.now();
    daemon.process.kill("SIGTERM");
    const { code, reason } = await user.end();
    assert.equal(code, 1001, reason);
    assert.equal((await daemon.process.status).code, 0, daemon.process.output);
    assert.ok(performance.now() - stopping < 15_000);
    await cluster.startDaemon(1);
  });

  await t.step("virtxd is killed on the VM's host, and the console is free again", async () => {
    const user = await opened();
    await cluster.killDaemon(1);
    assert.equal((await user.end()).code, CONSOLE_CLOSE.lost);
    await cluster.startDaemon(1);
    (await opened()).line.close();
  });
});

Deno.test("at a terminal vm console is followed through a migration, and leaves the terminal as it was", async (t) => {
  await using scene = await Scene.up();
  await using terminal = await LabTerminal.open(scene.cluster.host(2));
  const isSane = async () => {
    await terminal.command(
      "stty -a | tr ' ;' '\\n' | grep -x -E -e '-?(echo|icanon|isig|opost)' | sort | xargs",
    );
    await terminal.shows(/^echo icanon isig opost$/m);
  };

  await t.step("it says how to leave; what is typed arrives, Ctrl-C too", async () => {
    await terminal.line(`${VIRTXD} vm console web`);
    await terminal.shows(/Connected to the console of web1. Press \^\] to leave\./);
    await terminal.line("say from the terminal");
    await terminal.shows(/guest says: from the terminal/);
    await terminal.press("C-c");
    await terminal.line("");
    await terminal.line("say still there");
    await terminal.shows(/guest says: still there/);
  });

  await t.step("every example of it works", async () => {
    await terminal.press("C-]");
    await terminal.shows(/Left the console of web1\./);
    await scene.cluster.host(2).exec(["ln", "--symbolic", "--force", VIRTXD, "/usr/local/bin/virtx"]);
    const { examples = [] } = allCommands().find(({ path }) => path.join(" ") === "vm console") ?? {};
    assert.ok(examples.length > 0);
    for (const { command } of examples) {
      await terminal.command(`${command}; echo code $?`);
      await terminal.shows(/Connected to the console of web1\./);
      await terminal.press("C-]");
      await terminal.shows(/code 0/);
    }
    await terminal.command(`${VIRTXD} vm console web1`);
    await terminal.shows(/Connected to the console of web1\./);
  });

  await t.step("the VM moves: so does the console", async () => {
    await scene.traveller.begin(2);
    await terminal.shows(/VM "web1" has moved to host "virt2". Connecting again …/, 60_000);
    await terminal.shows(/Connected again\./);
    await terminal.line("say on the other host");
    await terminal.shows(/guest says: on the other host/);
  });

  await t.step("the escape key leaves, and the shell is as before", async () => {
    await terminal.press("C-]");
    await terminal.shows(/Left the console of web1\./);
    await terminal.line("echo code $?");
    await terminal.shows(/code 0/);
    await isSane();
  });

  await t.step("when the user is told to leave by a signal the terminal is as before, too", async () => {
    await terminal.command(`${VIRTXD} vm console web1 --escape ^a; echo ended $?`);
    await terminal.shows(/Press \^a to leave\./);
    const host = scene.cluster.host(2);
    const pid = (await host.exec(["pgrep", "--full", "vm console web1 --escape"])).trim();
    await host.exec(["kill", "-TERM", pid]);
    await terminal.shows(/ended 130/);
    await isSane();
  });

  await t.step("a console that is taken says so; --force takes it; who loses it is told", async () => {
    const user = await until(
      "the console to be free",
      () => User.at(scene, 1).catch(() => undefined),
      10_000,
    );
    await terminal.command(`${VIRTXD} vm console web1; echo ended $?`);
    await terminal.shows(/another user has it/);
    await terminal.shows(/ended 5/);
    await terminal.command(`${VIRTXD} vm console web1 --force; echo ended $?`);
    await terminal.shows(/Connected to the console/);
    assert.equal((await user.end()).code, CONSOLE_CLOSE.taken);
    const third = await User.at(scene, 1, true);
    await terminal.shows(/The console has ended: Another user has taken the console of VM "web1"/);
    await terminal.shows(/ended 5/);
    await isSane();
    third.line.close();
    await third.line.ended;
  });

  await t.step(
    "without a terminal input goes to the guest, output comes out, until the guest stops",
    async () => {
      const { code, stdout, stderr } = await scene.cluster.host(1).run(
        [VIRTXD, "vm", "console", "web1", "--force"],
        { stdin: "\nsay piped\npoweroff\n" },
      );
      assert.match(stdout, /guest says: piped\r\r\n/);
      assert.equal(stderr, 'virtxd: The console has ended: VM "web1" has stopped\n');
      assert.equal(code, 0);
    },
  );
});
