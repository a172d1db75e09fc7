/** Where a key or a table header stands in a TOML text. */
export interface KeyPosition {
  /** Its full name, from the top: `[a.b]` and below it `c = 1` are ["a", "b"] and ["a", "b", "c"]. */
  readonly path: readonly string[];
  readonly kind: "key" | "header";
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units, as smol-toml counts. */
  readonly column: number;
}

/**
 * Finds every key of a TOML text, in the order of the text, those of inline tables too. smol-toml, which reads the
 * values, keeps no positions; so this looks at no more than what separates keys from values, and may only be given
 * text that smol-toml has accepted.
 */
export function keyPositions(toml: string): readonly KeyPosition[] {
  return new KeyScanner(toml).scan();
}

class KeyScanner {
  readonly #text: string;
  readonly #found: KeyPosition[] = [];
  #offset = 0;
  /** For positions: the line that was last looked at, and where it begins. */
  #line = 1;
  #lineStart = 0;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): readonly KeyPosition[] {
    let table: readonly string[] = [];
    this.#skipBlank();
    while (this.#offset < this.#text.length) {
      if (this.#take(/\[\[?[ \t]*/y)) {
        table = this.#key([], "header");
        this.#take(/[ \t]*\]\]?/y);
      } else {
        this.#keyValue(table);
      }
      this.#skipBlank();
    }
    return this.#found;
  }

  #keyValue(table: readonly string[]): void {
    const path = this.#key(table, "key");
    this.#take(/[ \t]*=[ \t]*/y);
    this.#value(path);
  }

  /** A dotted key; its position is that of its first part. */
  #key(table: readonly string[], kind: KeyPosition["kind"]): readonly string[] {
    const start = this.#offset;
    const parts: string[] = [];
    do parts.push(this.#keyPart()); while (this.#take(/[ \t]*\.[ \t]*/y));
    const path = [...table, ...parts];
    this.#found.push({ path, kind, ...this.#position(start) });
    return path;
  }

  #keyPart(): string {
    const quoted = this.#take(/"(?:[^"\\]|\\.)*"/y);
    if (quoted) return unescape(quoted.slice(1, -1));
    const literal = this.#take(/'[^']*'/y);
    if (literal) return literal.slice(1, -1);
    return this.#take(/[^\s.=\]]+/y);
  }

  /** Strings, arrays and inline tables are walked through; all else ends where the next separator is. */
  #value(path: readonly string[]): void {
    if (this.#take(/"""(?:[^\\]|\\[^])*?"{3,5}(?!")|'''[^]*?'{3,5}(?!')|"(?:[^"\\]|\\.)*"|'[^']*'/y)) return;
    if (this.#take(/\[/y)) return this.#items(/\]/y, () => this.#value(path));
    if (this.#take(/\{/y)) return this.#items(/\}/y, () => this.#keyValue(path));
    this.#take(/[^,\]}#\n]+/y);
  }

  #items(end: RegExp, item: () => void): void {
    this.#skipBlank();
    while (!this.#take(end)) {
      item();
      this.#skipBlank();
    }
  }

  /** White space, comments, and the commas between items. */
  #skipBlank(): void {
    this.#take(/(?:[\s,]|#[^\n]*)*/y);
  }

  /** What the pattern matches here, or "". */
  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#offset;
    const match = pattern.exec(this.#text)?.[0] ?? "";
    this.#offset += match.length;
    return match;
  }

  /** Offsets come in ascending order. */
  #position(offset: number): { line: number; column: number } {
    for (;;) {
      const end = this.#text.indexOf("\n", this.#lineStart);
      if (end === -1 || end >= offset) return { line: this.#line, column: offset - this.#lineStart + 1 };
      this.#line++;
      this.#lineStart = end + 1;
    }
  }
}

/** The escapes of a TOML basic string. */
function unescape(text: string): string {
  const plain: Readonly<Record<string, string>> = { b: "\b", t: "\t", n: "\n", f: "\f", r: "\r", e: "\x1b" };
  return text.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/g,
    (_, x?: string, u?: string, U?: string, other = "") => {
      const code = x ?? u ?? U;
      return code === undefined ? plain[other] ?? other : String.fromCodePoint(parseInt(code, 16));
    },
  );
}
