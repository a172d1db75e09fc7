import type { Terminal } from "../terminal.ts";
import { Live } from "./live.ts";
import { plainLines } from "./plain.ts";
import type { Measure } from "./width.ts";
import { wrapTo } from "./wrap.ts";

/** What a live view shows at a moment. */
export interface Picture {
  /** With colours maybe; those that there is no room for are left out at the end. */
  readonly lines: readonly string[];
  /** Why it may be old; undefined: it is not. */
  readonly lost?: string | undefined;
  /** A line at the bottom. */
  readonly foot: string;
}

/** Where there are fewer rows, no empty line is spent. */
const ROOMY = 10;

/** A picture of something that changes, drawn in place at the bottom of a terminal, and again when the terminal gets another size. */
export class LiveView implements Disposable {
  readonly #live: Live;
  readonly #measure: Measure;
  readonly #picture: () => Picture | undefined;
  readonly #held = new DisposableStack();

  /**
   * @param measure for any text, see measureAll
   * @param picture what is to be shown; undefined: nothing yet
   */
  constructor(terminal: Terminal, measure: Measure, picture: () => Picture | undefined) {
    this.#measure = measure;
    this.#picture = picture;
    this.#live = this.#held.use(new Live(terminal, measure));
    const draw = () => this.draw();
    Deno.addSignalListener("SIGWINCH", draw);
    this.#held.defer(() => Deno.removeSignalListener("SIGWINCH", draw));
    // What was drawn last stays when the view ends.
    this.#held.defer(() => this.#live.keep());
  }

  /** Draws what there is to be seen now. */
  draw(): void {
    const picture = this.#picture();
    if (picture === undefined) return;
    const { columns, rows } = this.#live.room;
    const { lines, lost, foot } = picture;
    const why = lost === undefined
      ? []
      : wrapTo(plainLines(`The server is away: ${lost}`), columns, this.#measure);
    const below = [...(rows < ROOMY ? [] : [""]), ...why, ...wrapTo(foot, columns, this.#measure)];
    const room = rows - below.length;
    const shown = lines.length <= room
      ? lines
      : room < 1
      ? []
      : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more`];
    this.#live.show([...shown, ...below.slice(-rows)]);
  }

  [Symbol.dispose](): void {
    this.#held.dispose();
  }
}
