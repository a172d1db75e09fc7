import assert from "node:assert/strict";
import * as fc from "fast-check";
import stringWidth from "string-width";
import { ascii, asciiSigns, isUtf8 } from "../../../../lib/cli/output/locale.ts";
import { wrapTo } from "../../../../lib/cli/output/wrap.ts";
import { Terminal } from "../../../../lib/cli/terminal.ts";

Deno.test("the locale is of LC_ALL, LC_CTYPE and LANG the first that is set, and C without any", () => {
  const cases: [Record<string, string>, boolean][] = [
    [{}, false],
    [{ LANG: "C" }, false],
    [{ LANG: "POSIX" }, false],
    [{ LANG: "en_US" }, false],
    [{ LANG: "de_DE.ISO-8859-1" }, false],
    [{ LANG: "de_DE.UTF-8" }, true],
    [{ LANG: "C.utf8" }, true],
    [{ LANG: "sr_RS.UTF-8@latin" }, true],
    [{ LC_CTYPE: "UTF-8" }, true],
    [{ LC_CTYPE: "C", LANG: "en_US.UTF-8" }, false],
    [{ LC_CTYPE: "en_US.UTF-8", LANG: "C" }, true],
    [{ LC_ALL: "C", LC_CTYPE: "en_US.UTF-8", LANG: "en_US.UTF-8" }, false],
    [{ LC_ALL: "", LC_CTYPE: "", LANG: "en_US.UTF-8" }, true],
  ];
  for (const [env, utf8] of cases) {
    assert.equal(isUtf8((name) => env[name]), utf8, JSON.stringify(env));
  }
});

Deno.test("our own signs have stand-ins in ASCII, and on a terminal all else is told by its number", () => {
  assert.equal(asciiSigns("256 MiB → 1 GiB, 2 × 2, web… ━━──"), "256 MiB -> 1 GiB, 2 x 2, web... ==--");
  assert.equal(asciiSigns("日本"), "日本");
  assert.equal(ascii("日本 🚀 é →"), "\\u{65e5}\\u{672c} \\u{1f680} \\u{e9} ->");
});

/** What is written to a stream that is a terminal, or none. */
function written(isTerminal: boolean, utf8: boolean, write: (terminal: Terminal) => void): string {
  let text = "";
  const stream = {
    isTerminal: () => isTerminal,
    writeSync(bytes: Uint8Array) {
      text += new TextDecoder().decode(bytes);
      return bytes.length;
    },
  };
  write(new Terminal({ stream, colour: false, utf8, size: () => ({ columns: 80, rows: 24 }) }));
  return text;
}

Deno.test("a pipe in the locale C gets our signs in ASCII and names as they are; data is never touched", () => {
  const line = (terminal: Terminal) => terminal.write("日本 → …\n");
  assert.equal(written(true, true, line), "日本 → …\n");
  assert.equal(written(true, false, line), "\\u{65e5}\\u{672c} -> ...\n");
  assert.equal(written(false, false, line), "日本 -> ...\n");
  assert.equal(written(true, false, (terminal) => terminal.data("日本 →\n")), "日本 →\n");
});

Deno.test("output that cannot be written is told once and keeps nothing from going on", () => {
  const failing = (error: Error) => {
    let calls = 0;
    const stream = {
      isTerminal: () => false,
      writeSync: (): number => {
        calls++;
        throw error;
      },
    };
    const terminal = new Terminal({ stream, colour: false, size: () => ({ columns: 0, rows: 0 }) });
    terminal.line("one");
    terminal.line("two");
    return { calls, isClosed: terminal.isClosed, why: terminal.failure?.message };
  };
  const full = Object.assign(new Error("No space left on device (os error 28)"), { code: "ENOSPC" });
  assert.deepEqual(failing(full), {
    calls: 1,
    isClosed: true,
    why: "Cannot write the output: no space left on the device",
  });
  assert.deepEqual(failing(new Deno.errors.BrokenPipe("x")), { calls: 1, isClosed: true, why: undefined });
});

Deno.test("a stream that is full for the moment is tried again", () => {
  let text = "";
  let calls = 0;
  const stream = {
    isTerminal: () => false,
    writeSync(bytes: Uint8Array) {
      if (++calls % 2 === 1) throw new Deno.errors.WouldBlock("full");
      text += new TextDecoder().decode(bytes.subarray(0, 2));
      return Math.min(2, bytes.length);
    },
  };
  new Terminal({ stream, colour: false, size: () => ({ columns: 0, rows: 0 }) }).line("abc");
  assert.equal(text, "abc\n");
});

Deno.test("wrapped lines fit, whatever they hold, and lose nothing but blanks", () => {
  assert.deepEqual(wrapTo("No server answers:\n  http://a: refused, nobody there", 16, stringWidth), [
    "No server",
    "answers:",
    "  http://a:",
    "  refused,",
    "  nobody there",
  ]);
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 2, max: 40 }), (text, width) => {
    // A character that is wider than the line fits nowhere.
    fc.pre([...new Intl.Segmenter().segment(text)].every(({ segment }) => stringWidth(segment) <= width));
    const lines = wrapTo(text.trimStart(), width, stringWidth);
    for (const line of lines) assert.ok(stringWidth(line) <= width, JSON.stringify(line));
    assert.equal(lines.join("").replaceAll(/\s/g, ""), text.replaceAll(/\s/g, ""));
  }));
});
