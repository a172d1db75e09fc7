import { Colours } from "./output/colours.ts";

/** A stream that can be a terminal: Deno.stdout, Deno.stderr, or what a test has in their place. */
export interface Stream {
  writeSync(bytes: Uint8Array): number;
  isTerminal(): boolean;
}

export interface TerminalOptions {
  readonly stream: Stream;
  /** Whether colours are welcome if it is a terminal. */
  readonly colour: boolean;
  /** Columns and rows, if it is a terminal. */
  readonly size: () => { readonly columns: number; readonly rows: number };
}

/** Where output goes: a terminal with a size and colours, or a pipe or file with neither. */
export class Terminal {
  readonly #o: TerminalOptions;
  readonly isTerminal: boolean;
  readonly colours: Colours;

  constructor(options: TerminalOptions) {
    this.#o = options;
    this.isTerminal = options.stream.isTerminal();
    this.colours = new Colours(options.colour && this.isTerminal);
  }

  /** Columns of the terminal as it is now; undefined: it is none, and lines may be as long as they like. */
  get columns(): number | undefined {
    return this.isTerminal ? this.#o.size().columns || undefined : undefined;
  }

  /** Rows of the terminal; undefined as above. */
  get rows(): number | undefined {
    return this.isTerminal ? this.#o.size().rows || undefined : undefined;
  }

  /** Writes a text, whole. A reader that has gone (`virtx vm list | head -1`) is no error. */
  write(text: string): void {
    let bytes = new TextEncoder().encode(text);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(this.#o.stream.writeSync(bytes));
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  }

  /** Writes a line. */
  line(text = ""): void {
    this.write(`${text}\n`);
  }
}

/** The terminal that a standard stream of this process is. */
export function terminalOf(stream: Stream, colour: boolean): Terminal {
  return new Terminal({ stream, colour, size: consoleSize });
}

function consoleSize(): { columns: number; rows: number } {
  try {
    return Deno.consoleSize();
  } catch {
    return { columns: 0, rows: 0 }; // None of the standard streams tells: 0 stands for unknown, as in the kernel.
  }
}
