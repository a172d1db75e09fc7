import type { BenchRow } from "../row.ts";

const COLUMNS = ["", "value", "compared to", "ratio", "target", ""];
const RIGHT_ALIGNED = [false, true, false, true, false, false];

/** The rows as an aligned table, to be read in a terminal. */
export function formatTable(rows: readonly BenchRow[]): string {
  const cells = [COLUMNS, ...rows.map(cellsOf)];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((row) => [...(row[column] ?? "")].length)));
  const lines = cells.map((row) =>
    row.map((cell, column) => {
      const filling = " ".repeat((widths[column] ?? 0) - [...cell].length);
      return RIGHT_ALIGNED[column] ? filling + cell : cell + filling;
    }).join("  ").trimEnd()
  );
  return lines.join("\n") + "\n";
}

function cellsOf(row: BenchRow): string[] {
  const compared = row.comparedValue === undefined ? "" : ` (${quantity(row.comparedValue, row.unit)})`;
  return [
    row.name,
    quantity(row.value, row.unit),
    row.comparedTo === undefined ? "" : row.comparedTo + compared,
    row.ratio === undefined ? "" : `${row.ratio.toFixed(2)} ×`,
    row.target ?? "",
    row.ok === undefined ? "" : row.ok ? "ok" : "MISSED",
  ];
}

/** Three significant digits, and no fraction of hundreds. */
function quantity(value: number, unit: string): string {
  const digits = value === 0 || Number.isInteger(value)
    ? 0
    : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return `${value.toLocaleString("en", { maximumFractionDigits: Math.min(digits, 3) })} ${unit}`;
}
