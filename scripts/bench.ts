/**
 * `deno task bench [filter] [--runs=N]`: measures what scripts/bench/ holds (the modules whose name contains the
 * filter), prints a table and writes dist/bench.json. Exits 1 if a target was missed.
 */
import { type Bench, type BenchRow, medianRow } from "./bench/row.ts";
import { formatTable } from "./bench/support/table.ts";
import { ensurePackages } from "./packages.ts";
import { print, printedProgress } from "./progress.ts";
import { throughSudo } from "./root.ts";

const MODULES = new URL("bench/", import.meta.url);
const RESULTS = new URL("../dist/bench.json", import.meta.url);
const HELPERS: readonly string[] = ["row.ts"];
const DEFAULT_RUNS = 3;

async function main(args: readonly string[]): Promise<number> {
  const runs = Number(args.find((arg) => arg.startsWith("--runs="))?.slice("--runs=".length) ?? DEFAULT_RUNS);
  const filter = args.find((arg) => !arg.startsWith("--")) ?? "";
  if (!Number.isInteger(runs) || runs < 1) throw new Error("--runs must be a whole number from 1 on");
  const skipped = new Set<string>();
  const skip = (what: string, why: string) => skipped.add(`not measured: ${what}: ${why}`);
  const rows: BenchRow[] = [];
  for (const name of moduleNames(filter)) {
    const measured: BenchRow[] = [];
    for (let run = 1; run <= runs; run++) {
      const { default: bench }: { default: Bench } = await import(new URL(name, MODULES).href);
      measured.push(...await printedProgress.step(`${name}, ${run} of ${runs}`, () => bench({ skip })));
    }
    for (const group of Map.groupBy(measured, (row) => row.name).values()) rows.push(medianRow(group));
  }
  print(`\nMedians of ${runs}:\n${formatTable(rows)}`);
  for (const line of skipped) print(`${line}\n`);
  await Deno.mkdir(new URL(".", RESULTS), { recursive: true });
  const { os, arch } = Deno.build;
  const report = {
    date: new Date().toISOString(),
    os,
    arch,
    cpus: navigator.hardwareConcurrency,
    runs,
    rows,
  };
  await Deno.writeTextFile(RESULTS, JSON.stringify({ ...report, skipped: [...skipped] }, null, 2) + "\n");
  return rows.every((row) => row.ok !== false) ? 0 : 1;
}

function moduleNames(filter: string): string[] {
  return Array.from(Deno.readDirSync(MODULES))
    .filter((entry) => entry.isFile && entry.name.endsWith(".ts") && !HELPERS.includes(entry.name))
    .map((entry) => entry.name)
    .filter((name) => name.includes(filter))
    .sort();
}

if (import.meta.main) {
  await ensurePackages(printedProgress);
  Deno.exit(await throughSudo(import.meta.url) ?? await main(Deno.args));
}
