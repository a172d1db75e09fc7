/** One figure of the benchmark, and what it is held against. */
export interface BenchRow {
  /** What was measured; the same in every run. */
  readonly name: string;
  readonly value: number;
  /** ms, req/s, MiB, … */
  readonly unit: string;
  /** What the value is compared to, measured in the same run: "a bare Hono hello". */
  readonly comparedTo?: string | undefined;
  readonly comparedValue?: number | undefined;
  /** value / comparedValue. */
  readonly ratio?: number | undefined;
  /** What is demanded, in words: "≤ 20 ms", "≥ 0.8 ×". */
  readonly target?: string | undefined;
  /** Whether the target is met; undefined: there is none. */
  readonly ok?: boolean | undefined;
}

/**
 * What a module directly in scripts/bench exports by default: it measures once and returns its rows. The runner calls
 * it several times and keeps, for each name, the row with the median value. What this machine cannot measure is left out,
 * and `skip` says so.
 */
export type Bench = (options: BenchOptions) => Promise<readonly BenchRow[]>;

export interface BenchOptions {
  /** Tells the reader that something was not measured, and why. */
  readonly skip: (what: string, why: string) => void;
}

/** A row for a value that may be at most so much. */
export function atMost(name: string, value: number, unit: string, most: number): BenchRow {
  return { name, value, unit, target: `≤ ${most} ${unit}`, ok: value <= most };
}

/** The row with the median of the values; of two in the middle, the greater. */
export function medianRow(rows: readonly BenchRow[]): BenchRow {
  const sorted = rows.toSorted((a, b) => a.value - b.value);
  const row = sorted[Math.floor(sorted.length / 2)];
  if (!row) throw new RangeError("no rows, no median");
  return row;
}
