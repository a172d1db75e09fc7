import assert from "node:assert/strict";
import { allCommands, NOUNS } from "../../../lib/cli/commands/table.ts";
import { help } from "../../../lib/cli/help.ts";
import { manPage } from "../../../lib/cli/man.ts";
import { referencePage } from "../../../lib/cli/reference.ts";
import { Terminal } from "../../../lib/cli/terminal.ts";
import { run } from "../../../scripts/command.ts";

/** A terminal of so many columns that nobody looks at; undefined: a pipe. */
function terminal(columns: number | undefined): Terminal {
  return new Terminal({
    stream: { isTerminal: () => columns !== undefined, writeSync: (bytes) => bytes.length },
    colour: false,
    size: () => ({ columns: columns ?? 0, rows: 24 }),
  });
}

Deno.test("the overview names every command with what it does, and tells exit codes and first steps", () => {
  const text = help(undefined, "virtx", terminal(undefined));
  for (const { path, summary } of allCommands()) {
    assert.ok(text.includes(`\n  ${path.join(" ")}`), path.join(" "));
    assert.ok(text.replaceAll(/\s+/g, " ").includes(summary), summary);
  }
  for (const code of ["0", "1", "4", "5", "64", "69", "70", "75", "77", "78", "130"]) {
    assert.match(text, new RegExp(`^  ${code} +[a-z]`, "m"));
  }
  assert.match(
    text,
    /FIRST STEPS[^]*virtx vm create[^]*virtx vm start[^]*virtx vm migrate[^]*virtx vm delete/,
  );
});

Deno.test("help about a command has its arguments, flags and examples, by the name that the program was called", () => {
  for (const command of allCommands()) {
    const text = help(command, "virtxd", terminal(undefined));
    for (const { name } of command.flags ?? []) {
      assert.ok(text.includes(`--${name}`), `${command.path}: ${name}`);
    }
    for (const { name } of command.arguments ?? []) assert.ok(text.includes(`<${name}>`));
    for (const { summary } of command.examples) assert.ok(text.includes(`# ${summary}`));
    assert.ok(
      !/\bvirtx [a-z]/.test(
        text.slice(text.indexOf("EXAMPLES"), text.indexOf("\n\n", text.indexOf("EXAMPLES"))),
      ),
      text,
    );
  }
});

Deno.test("no line of help is wider than the terminal, but for command lines and long terms", () => {
  for (const columns of [40, 60, 80, 200]) {
    for (const about of [undefined, ...NOUNS, ...allCommands()]) {
      for (const line of help(about, "virtx", terminal(columns)).split("\n")) {
        const isTerm = /^ {2}(\S|-)/.test(line) || /^ {6}--/.test(line);
        const isWord = !line.trim().includes(" ");
        assert.ok(line.length <= Math.min(columns, 100) || isTerm || isWord, `${columns}: ${line}`);
      }
    }
  }
});

Deno.test("the manual page has every command and flag, and groff has nothing to complain of", async () => {
  const page = manPage("1.2.3");
  for (const { path } of allCommands()) {
    assert.ok(page.includes(`.SS virtx ${path.join(" ")}`), path.join(" "));
  }
  assert.match(page, /^\.TH VIRTX 1 .*"virtx 1\.2\.3"/);
  const { code, stdout, stderr } = await run(["groff", "-man", "-ww", "-Tascii", "-P-c"], { stdin: page });
  assert.deepEqual([code, stderr], [0, ""]);
  // deno-lint-ignore no-control-regex -- bold is a letter struck over itself
  assert.ok(stdout.replaceAll(/.\x08/g, "").includes("--bandwidth <size>"));
});

Deno.test("lib/cli/reference.md is what virtx help --markdown prints", async () => {
  const page = new URL("../../../lib/cli/reference.md", import.meta.url);
  if (Deno.env.has("UPDATE_GOLDEN")) await Deno.writeTextFile(page, referencePage());
  assert.equal(await Deno.readTextFile(page), referencePage());
});

Deno.test("the reference page has a section for every command, with its examples", () => {
  const page = referencePage();
  for (const { path, examples } of allCommands()) {
    assert.ok(page.includes(`### ${path.join(" ")}\n`));
    for (const { command } of examples) assert.ok(page.includes(command));
  }
});
