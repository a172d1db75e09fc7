import assert from "node:assert/strict";
import stringWidth from "string-width";
import { until } from "../../scripts/lab/until.ts";
import type { LabTerminal } from "./support/lab_terminal.ts";
import { TerminalDesk } from "./support/terminal_desk.ts";

const NAMES = [
  "web1",
  "日本語データベース",
  "e\u0301te\u0301",
  "rocket🚀",
  "a-name-of-thirty-two-characters0",
];

/** Waits until the rows of the screen are as they should be. */
async function rowsAre(
  terminal: LabTerminal,
  what: string,
  check: (rows: readonly string[]) => boolean,
): Promise<readonly string[]> {
  let rows: readonly string[] = [];
  try {
    return await until(
      what,
      async () => {
        rows = await terminal.rows();
        return check(rows) ? rows : undefined;
      },
      20_000,
      100,
    );
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}; it shows:\n${rows.join("\n")}`);
  }
}

function count(rows: readonly string[], pattern: RegExp): number {
  return rows.filter((row) => pattern.test(row)).length;
}

Deno.test("a live view is drawn in place at every size, whatever VMs are called, also while the server is away", async (t) => {
  for (const columns of [20, 40, 80, 200]) {
    for (const rows of [5, 50]) {
      await t.step(`${columns} × ${rows}`, async () => {
        await using desk = await TerminalDesk.set(NAMES);
        await using terminal = await desk.terminal({ columns, rows });
        await terminal.command("virtx vm watch");
        const isWhole = (shown: readonly string[]) =>
          count(shown, /^NAME/) === 1 && count(shown, /Ctrl-C/) === 1 &&
          shown.every((row) => stringWidth(row) < columns);
        await rowsAre(terminal, "the picture", isWhole);
        await desk.away();
        const away = await rowsAre(
          terminal,
          "why it may be old",
          (shown) => /The server is\s+away/.test(shown.join("\n")) && count(shown, /Ctrl-C/) === 1,
        );
        assert.ok(!away.join("").includes("\\n"), away.join("\n"));
        // Drawn again and again: what stays is one picture.
        for (let n = 0; n < 15; n++) {
          const shown = await rowsAre(terminal, "the picture", (shown) => count(shown, /Ctrl-C/) === 1);
          assert.ok(count(shown, /^NAME/) <= 1, shown.join("\n"));
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        await desk.serve();
        const back = await rowsAre(
          terminal,
          "the server to be back",
          (shown) => !/away/.test(shown.join("")) && isWhole(shown),
        );
        if (rows === 50) assert.equal(count(back, /poweroff|pow\w*…/), NAMES.length, back.join("\n"));
      });
    }
  }
});

Deno.test("a window that becomes narrower or wider leaves no pieces, in lists, figures and progress", async (t) => {
  const views = [
    ["virtx vm watch", /^NAME/, /Ctrl-C ends/],
    ["virtx host top", /^Hosts at/, /Ctrl-C ends/],
    ["virtx vm start web1", /^Starting/, /^Starting/],
  ] as const;
  for (const [command, head, foot] of views) {
    await t.step(command, async () => {
      await using desk = await TerminalDesk.set(NAMES);
      await using terminal = await desk.terminal({ columns: 120, rows: 30 });
      await terminal.command(command);
      const isWhole = (columns: number) => (rows: readonly string[]) =>
        count(rows, head) === 1 && count(rows, foot) === 1 &&
        rows.every((row) => stringWidth(row) <= columns);
      await rowsAre(terminal, "the picture", isWhole(120));
      for (const columns of [60, 30, 90, 24, 100, 50, 120]) {
        await terminal.resize({ columns, rows: 30 });
        await rowsAre(terminal, `the picture at ${columns}`, isWhole(columns));
      }
      await terminal.press("C-c");
    });
  }
});

Deno.test("when none of several servers answers, host top keeps its figures and tells each reason", async () => {
  await using desk = await TerminalDesk.set(NAMES);
  await using terminal = await desk.terminal({ columns: 80, rows: 24 });
  await terminal.command(`virtx host top --server ${desk.server},127.0.0.1:2 --interval 500ms`);
  await terminal.shows(/^virt1 +active/m);
  await desk.away();
  await terminal.shows(
    /^virt1 +active[^]*The server is away: No server answers:\n {2}http:\/\/127\.0\.0\.1:\d+: Connection refused, nobody listens there\n {2}http:\/\/127\.0\.0\.1:2: Connection/m,
  );
  await desk.serve();
  await rowsAre(terminal, "the server to be back", (rows) => !/away/.test(rows.join("")));
  await terminal.press("C-c");
  await terminal.shows(/Ctrl-C ends\.\s[^]*ready>/);
});

Deno.test("a terminal that cannot move its cursor gets lines, without colours", async () => {
  await using desk = await TerminalDesk.set(["web1"]);
  for (const term of ["dumb", ""]) {
    await using terminal = await desk.terminal({ columns: 80, rows: 24 }, { TERM: term });
    const unset = term === "" ? "unset TERM; " : "";
    await terminal.command(`${unset}virtx vm watch & sleep 2; virtx vm list; virtx host top; kill $!`);
    await terminal.shows(/Z web1 poweroff on virt1\n/);
    await terminal.shows(/^NAME +STATE[^]*^HOST +STATE[^]*ready>/m);
    assert.ok(!/\[K|\[\d+m/.test(await terminal.screen()), await terminal.screen());
  }
  const painted = async (env: Record<string, string>) =>
    (await desk.sh("script -qec 'virtx vm list' /dev/null", env)).stdout.includes("\x1b[");
  assert.deepEqual(
    await Promise.all([
      painted({ TERM: "xterm" }),
      painted({ TERM: "xterm", NO_COLOR: "1" }),
      painted({ TERM: "dumb" }),
      painted({}),
    ]),
    [true, false, false, false],
  );
});

Deno.test("who follows events is told once that the server is away, and that it is back", async () => {
  await using desk = await TerminalDesk.set(["web1"]);
  desk.vms.quick = Infinity;
  await using terminal = await desk.terminal({ columns: 100, rows: 24 });
  await terminal.command("virtx event tail --type vm");
  // When it follows cannot be seen; so there is something to follow until it does.
  await until("it follows", async () => {
    await desk.sh("virtx vm start web1 || virtx vm kill web1 --yes");
    return /vm web1 is/.test(await terminal.screen()) || undefined;
  }, 20_000);
  await desk.away();
  await terminal.shows(/^The server is away: No server answers at .*nobody listens there$/m);
  await new Promise((resolve) => setTimeout(resolve, 2_000)); // some attempts, of which nothing is said
  await desk.serve();
  await terminal.shows(/^The server is back\.$/m);
  assert.equal((await terminal.screen()).match(/No server answers/g)?.length, 1);
});
