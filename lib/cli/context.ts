import type { Interrupts } from "./interrupts.ts";
import type { Format } from "./output/format.ts";
import type { Printer } from "./output/printer.ts";
import type { Cluster } from "./server/cluster.ts";
import type { Terminal } from "./terminal.ts";

/** What was asked for by flags that every command has. */
export interface CommonOptions {
  readonly format: Format;
  /** Tables have headings. */
  readonly headers: boolean;
  /** Print only what was asked for. */
  readonly quiet: boolean;
  /** Give up after this long; undefined: as long as it takes. */
  readonly timeoutMs: number | undefined;
}

/** What a command finds around it. */
export interface Context {
  /** What this program was called as: "virtx", or "virtxd". */
  readonly program: string;
  readonly version: string;
  readonly out: Terminal;
  readonly err: Terminal;
  readonly printer: Printer;
  readonly options: CommonOptions;
  /** A variable of the environment. */
  readonly env: (name: string) => string | undefined;
  /** For a command during which Ctrl-C has to ask. */
  readonly interrupts: Interrupts;
  /** Aborted by Ctrl-C, or when --timeout has passed. */
  readonly signal: AbortSignal;
  /** UTC milliseconds. */
  readonly now: () => number;
  /** The cluster; nothing is sent before it is asked. */
  readonly cluster: () => Promise<Cluster>;
}
