import { VirtxError } from "../model/error.ts";
import { Colours } from "./output/colours.ts";
import { ascii, asciiSigns, isUtf8 } from "./output/locale.ts";
import { reasonOf } from "../posix/reason.ts";

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
  /** Whether what people read may be more than ASCII; left out: it may. */
  readonly utf8?: boolean;
  /** TERM; left out: that of some terminal. Without it, or where it is "dumb", a cursor cannot be moved. */
  readonly term?: string | undefined;
  /** Whether the stream was closed before we began, which the runtime hides; left out: it was not. */
  readonly isShut?: boolean;
}

/** The output, or a part of it, was not written. */
export class OutputError extends VirtxError {
  constructor(cause: unknown, why = reasonOf(cause)) {
    super("refused", `Cannot write the output: ${why}`, { cause });
  }
}

/** Thrown where a command that goes on until it is ended finds that nothing of it can be read any more. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** Where a stream is full that somebody else has made non-blocking: how long until it is tried again. */
const FULL_MS = 5;

/** Where output goes: a terminal with a size and colours, or a pipe or file with neither. */
export class Terminal {
  readonly #o: TerminalOptions;
  readonly isTerminal: boolean;
  /** Whether it is a terminal whose cursor can be moved. */
  readonly isAddressable: boolean;
  readonly colours: Colours;
  #gone = false;
  #failure: OutputError | undefined;

  constructor(options: TerminalOptions) {
    this.#o = options;
    const { term = "" } = { term: "unknown", ...options };
    this.isTerminal = options.stream.isTerminal();
    this.isAddressable = this.isTerminal && term !== "" && term !== "dumb";
    this.colours = new Colours(options.colour && this.isAddressable);
  }

  /** Columns of the terminal as it is now; undefined: it is none, and lines may be as long as they like. */
  get columns(): number | undefined {
    return this.isTerminal ? this.#o.size().columns || undefined : undefined;
  }

  /** Rows of the terminal; undefined as above. */
  get rows(): number | undefined {
    return this.isTerminal ? this.#o.size().rows || undefined : undefined;
  }

  /** Whether nobody reads any more (`virtx vm list | head -1`), or nothing can be written. */
  get isClosed(): boolean {
    return this.#gone || this.#failure !== undefined;
  }

  /** @throws OutputClosed */
  throwIfClosed(): void {
    if (this.isClosed) throw new OutputClosed("nobody reads the output any more");
  }

  /** Why something was not written; undefined: all was, or nobody wanted to read it. */
  get failure(): OutputError | undefined {
    return this.#failure;
  }

  /**
   * A text for people as it will be written: in ASCII where the locale has nothing else. On a terminal that is all of it; into
   * a pipe names go as they are, since they may be read by programs.
   */
  shown(text: string): string {
    if (this.#o.utf8 ?? true) return text;
    return this.isTerminal ? ascii(text) : asciiSigns(text);
  }

  /** Writes a text for people, whole. See {@link data} for what becomes of failures. */
  write(text: string): void {
    this.data(this.shown(text));
  }

  /** Writes a line. */
  line(text = ""): void {
    this.write(`${text}\n`);
  }

  /**
   * Writes a text for programs, whole and as it is. Never fails: what is under way has to go on. A reader that has gone is no
   * error; any other failure is kept, and nothing more is written.
   */
  data(text: string): void {
    let bytes = new TextEncoder().encode(text);
    if (this.#o.isShut && bytes.length > 0) this.#failure ??= new OutputError(undefined, "it is closed");
    while (bytes.length > 0 && !this.isClosed) {
      try {
        bytes = bytes.subarray(this.#o.stream.writeSync(bytes));
      } catch (error) {
        if (error instanceof Deno.errors.WouldBlock) {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_MS);
        } else if (error instanceof Deno.errors.BrokenPipe) this.#gone = true;
        else this.#failure = new OutputError(error);
      }
    }
  }
}

/** The terminal that a standard stream of this process is. */
export function terminalOf(stream: Stream, colour: boolean): Terminal {
  const env = (name: string) => Deno.env.get(name);
  const isShut = stream === Deno.stdout && env("VIRTX_STDOUT") === "closed"; // see launcher.sh
  return new Terminal({ stream, colour, size: consoleSize, utf8: isUtf8(env), term: env("TERM"), isShut });
}

function consoleSize(): { columns: number; rows: number } {
  try {
    return Deno.consoleSize();
  } catch {
    return { columns: 0, rows: 0 }; // None of the standard streams tells: 0 stands for unknown, as in the kernel.
  }
}
