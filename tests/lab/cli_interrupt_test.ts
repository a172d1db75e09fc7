import assert from "node:assert/strict";
import { Runstate } from "../../lib/model/enums.ts";
import { until } from "../../scripts/lab/until.ts";
import type { LabTerminal } from "./support/lab_terminal.ts";
import { TerminalDesk } from "./support/terminal_desk.ts";

const TWELVE = Array.from({ length: 12 }, (_, n) => `vm${String(n + 1).padStart(2, "0")}`);

/** Waits until so many changes were begun at the host. */
async function begun({ vms }: TerminalDesk, count: number): Promise<void> {
  await until(`${count} begun`, () => vms.begun.length >= count || undefined, 20_000);
}

/** The exit code that the shell tells of the command before. */
async function exitCode(terminal: LabTerminal): Promise<number> {
  await terminal.shows(/ready>\s*$/);
  await terminal.line("echo code=$?");
  const [, code = ""] = await terminal.shows(/^code=(\d+)$/m);
  return Number(code);
}

Deno.test("Ctrl-C of a bulk command begins nothing more; cancel, and the sum is what happened", async () => {
  await using desk = await TerminalDesk.set(TWELVE);
  await desk.startAll();
  desk.vms.quick = 3;
  await using terminal = await desk.terminal();
  await terminal.command("virtx vm migrate --selector name=vm --parallel 2");
  await begun(desk, 5);
  await terminal.press("C-c");
  await terminal.shows(/Stopped: 3 done, 2 under way, 7 not begun\. Nothing more is begun\./);
  await terminal.shows(
    /\[c\]ancel them, \[l\]eave them running, \[w\]ait for them, or \[g\]o on with all\?\s*$/,
  );
  assert.equal(desk.vms.begun.length, 5);
  await terminal.line("c");
  await terminal.shows(/^3 done, 2 cancelled, 7 not begun\.$/m);
  assert.equal(await exitCode(terminal), 130);
  assert.deepEqual([...desk.vms.begun].sort(), TWELVE.slice(0, 5));
  const cancelled = await desk.sh("virtx operation list --state cancelled -o name");
  assert.equal(cancelled.stdout.trim().split("\n").length, 2);
});

Deno.test("who leaves a bulk command is told what goes on, and it does", async () => {
  await using desk = await TerminalDesk.set(TWELVE);
  await desk.startAll();
  desk.vms.quick = 1;
  await using terminal = await desk.terminal();
  await terminal.command("virtx vm migrate --selector name=vm");
  await begun(desk, 3);
  await terminal.press("C-c");
  await terminal.shows(/1 done, 2 under way, 9 not begun/);
  await terminal.line("l");
  const [, first = "", second = ""] = await terminal.shows(
    /2 operations go on[^]*^ {2}([0-9a-f-]{36}) {2}Migrating vm02$\n^ {2}([0-9a-f-]{36}) {2}Migrating vm03$[^]*^1 done, 2 under way, 9 not begun\.$/m,
  );
  assert.equal(await exitCode(terminal), 130);
  desk.vms.held.resolve();
  assert.equal((await desk.sh(`virtx operation wait ${first} ${second}`)).code, 0);
  assert.equal(desk.vms.begun.length, 3);
});

Deno.test("waiting after Ctrl-C is for what is under way; going on is for all", async () => {
  for (const [answer, count] of [["w", 3], ["g", 12]] as const) {
    await using desk = await TerminalDesk.set(TWELVE);
    await desk.startAll();
    desk.vms.quick = 1;
    await using terminal = await desk.terminal();
    await terminal.command("virtx vm migrate --selector name=vm");
    await begun(desk, 3);
    await terminal.press("C-c");
    await terminal.shows(/all\?\s*$/);
    await terminal.line(answer);
    await terminal.shows(/Migrating vm02 +\d+s/);
    desk.vms.held.resolve();
    assert.equal(await exitCode(terminal), answer === "w" ? 130 : 0);
    assert.equal(desk.vms.begun.length, count);
    const screen = await terminal.screen();
    if (answer === "w") assert.match(screen, /^3 done, 9 not begun\.$/m);
    assert.equal(screen.match(/: migrated from virt1 to virt1$/gm)?.length, count);
  }
});

Deno.test("a second Ctrl-C leaves at once, in the question and while things are cancelled", async () => {
  await using desk = await TerminalDesk.set(TWELVE);
  await using terminal = await desk.terminal();
  await terminal.command("virtx vm start --selector name=vm --parallel 3");
  await begun(desk, 3);
  await terminal.press("C-c");
  await terminal.shows(/all\?\s*$/);
  await terminal.press("C-c");
  await terminal.shows(/3 operations go on[^]*^3 under way, 9 not begun\.$/m);
  assert.equal(await exitCode(terminal), 130);
  assert.equal(desk.vms.begun.length, 3);

  // A start cannot be given up: it is told, and waited for, until Ctrl-C.
  await terminal.command("virtx vm start vm11 vm12 --parallel 1");
  await begun(desk, 4);
  await terminal.press("C-c");
  await terminal.shows(/1 under way, 1 not begun[^]*all\?\s*$/);
  await terminal.line("c");
  await terminal.shows(/Starting vm11 cannot be cancelled, and is waited for: /);
  await terminal.press("C-c");
  await terminal.shows(/Starting vm11 goes on without this program[^]*^1 under way, 1 not begun\.$/m);
  assert.equal(await exitCode(terminal), 130);
  assert.equal(desk.vms.begun.length, 4);
});

Deno.test("a question is withdrawn when all that it is about has ended", async () => {
  await using desk = await TerminalDesk.set(TWELVE);
  await using terminal = await desk.terminal();
  await terminal.command("virtx vm start --selector name=vm --parallel 2");
  await begun(desk, 2);
  await terminal.press("C-c");
  await terminal.shows(/all\?\s*$/);
  desk.vms.held.resolve();
  await terminal.shows(
    /All that was under way has ended\.\nvm0\d: started\nvm0\d: started\n2 done, 10 not begun\.$/m,
  );
  assert.equal(await exitCode(terminal), 130);
  assert.deepEqual(desk.named(Runstate.running), ["vm01", "vm02"]);
});

Deno.test("before the first is begun, and in the question whether to begin, Ctrl-C changes nothing", async () => {
  await using desk = await TerminalDesk.set(TWELVE);
  await desk.startAll();
  await using terminal = await desk.terminal();
  await terminal.command("virtx vm kill --selector name=vm");
  await terminal.shows(/What was not written yet is lost\. \[y\/N\]\s*$/);
  await terminal.press("C-c");
  assert.equal(await exitCode(terminal), 130);
  assert.deepEqual(desk.vms.begun, []);
});

Deno.test("what is killed at Ctrl-C is reported as killed, and nothing else is", async () => {
  await using desk = await TerminalDesk.set(TWELVE);
  await desk.startAll();
  desk.vms.quick = 2;
  await using terminal = await desk.terminal();
  await terminal.command("virtx vm kill --selector name=vm --parallel 2 --yes");
  await begun(desk, 4);
  await terminal.press("C-c");
  await terminal.shows(/2 done, 2 under way, 8 not begun/);
  desk.vms.held.resolve();
  await terminal.shows(/^4 done, 8 not begun\.$/m);
  assert.equal(await exitCode(terminal), 130);
  assert.equal((await terminal.screen()).match(/^vm\d\d: killed$/gm)?.length, 4);
  assert.deepEqual(desk.named(Runstate.poweroff), TWELVE.slice(0, 4));
});

Deno.test("without a terminal Ctrl-C and SIGTERM stop the bulk, and tell what goes on", async () => {
  for (const [signal, format] of [["INT", ""], ["TERM", ""], ["INT", "-o json"]] as const) {
    await using desk = await TerminalDesk.set(TWELVE);
    const running = desk.sh(
      // bash ignores SIGINT for what runs in the background: so it is the program itself that is asked for by its pid.
      `exec virtx vm start --selector name=vm --parallel 2 ${format} & pid=$!; echo $pid > pid; wait $pid; echo code=$?`,
    );
    await begun(desk, 2);
    const pid = Number(await Deno.readTextFile(desk.home.at("pid")));
    Deno.kill(pid, `SIG${signal}`);
    const { stdout, stderr } = await running;
    assert.match(stdout, /code=130\n$/);
    assert.match(
      stderr,
      /2 operations go on[^]* {2}[0-9a-f-]{36} {2}Starting vm01\n[^]*2 under way, 10 not begun\.\n$/,
    );
    if (format !== "") {
      const states = JSON.parse(stdout.replace(/code.*/, "")).map(({ state }: { state: string }) => state);
      assert.deepEqual(states, ["running", "running", ...Array(10).fill("unbegun")]);
    }
    assert.equal(desk.vms.begun.length, 2);
  }
});

Deno.test("--timeout begins nothing more either, and what goes on is told by the VM's name", async () => {
  await using desk = await TerminalDesk.set(TWELVE);
  const late = await desk.sh("virtx vm start --selector name=vm --parallel 2 --timeout 3s");
  assert.equal(late.code, 75);
  assert.match(
    late.stderr,
    /^vm01: Not done within 3 s \(--timeout\); it goes on as operation [0-9a-f-]{36}$/m,
  );
  assert.match(late.stderr, /\n2 failed, 10 not begun\.\n$/);
  assert.equal(desk.vms.begun.length, 2);
});

Deno.test("a guest that does not shut down: what was asked for is told, and how to end it", async () => {
  await using desk = await TerminalDesk.set(["web1", "web2"]);
  await desk.startAll();
  desk.vms.quick = Infinity;
  const late = await desk.sh("virtx vm stop web1 --timeout 2s");
  assert.deepEqual([late.code, late.stderr], [
    75,
    "virtx: Not done within 2 s (--timeout): web1 was asked to shut down, and its guest has not done so yet; " +
    "virtx vm stop web1 --force ends it\n",
  ]);
  await using terminal = await desk.terminal();
  await terminal.command("virtx vm stop web1");
  await terminal.shows(/Shutting web1 down +\d+s/);
  await terminal.press("C-c");
  await terminal.shows(
    /web1 was asked to shut down, and its guest has not done so yet\. \[l\]eave it running, or \[w\]ait on\?\s*$/,
  );
  await terminal.line("l");
  await terminal.shows(/yet; virtx vm stop web1 --force ends it\.\nweb1: asked to shut down\n/);
  assert.equal(await exitCode(terminal), 130);
  await terminal.command("virtx vm restart web1 web2");
  await terminal.shows(/Shutting web2 down +\d+s/);
  await terminal.press("C-c");
  await terminal.shows(/\[w\]ait on\?\s*$/);
  await terminal.line("l");
  await terminal.shows(/^web2: asked to shut down, and not started again$[^]*^2 cancelled\.$/m);
  assert.equal(await exitCode(terminal), 130);
});

Deno.test("a server that does not answer keeps nobody who wants to leave", async () => {
  await using desk = await TerminalDesk.set(TWELVE);
  desk.isMute = true;
  await using terminal = await desk.terminal();
  await terminal.command("virtx vm start --selector name=vm --parallel 2");
  await terminal.shows(/Starting vm02 +3s/);
  await terminal.press("C-c");
  await terminal.shows(/Stopped: 2 under way, 10 not begun[^]*all\?\s*$/);
  await terminal.press("C-c");
  await terminal.shows(
    /^Starting vm01: the server has not answered yet, so it may be carried out, or not\.$[^]*^2 not answered, 10 not begun\.$/m,
  );
  assert.equal(await exitCode(terminal), 130);
  const late = await desk.sh("virtx vm start vm01 --timeout 1s");
  assert.equal(late.code, 75);
  assert.match(
    late.stderr,
    /Starting vm01: the server has not answered, so it may be carried out, or not\n$/,
  );
});
