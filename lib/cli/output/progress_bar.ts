import type { Progress } from "../server/operations.ts";
import { amount, percent, span } from "./human.ts";
import type { Measure } from "./width.ts";

/** Columns of a bar where there is room, and the fewest that make sense. */
const WIDEST = 30;
const NARROWEST = 8;

/** "Migrating web1  ━━━━━━──────  45 %  58 of 128 MiB  30 MiB/s  2s left", as much of it as there is room for. */
export function progressLine(title: string, progress: Progress, width: number, measure: Measure): string {
  const { total, done } = progress;
  const part = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
  const figures = figuresOf(progress);
  // From all figures to the percentage alone: the last ones go first.
  for (let count = figures.length; count > 0; count--) {
    const behind = figures.slice(0, count).join("  ");
    const bar = Math.min(WIDEST, width - measure(title) - behind.length - 4);
    if (bar >= NARROWEST || count === 1) {
      return [title, ...(bar >= NARROWEST ? [barOf(part, bar)] : []), behind].join("  ");
    }
  }
  return title;
}

/** The same for a pipe: a line of words. */
export function progressWords(progress: Progress): string {
  return figuresOf(progress).join(", ");
}

function figuresOf({ total, done, rate, timeleft }: Progress): readonly string[] {
  return [
    percent(Math.min(done, total), total).padStart(5),
    ...(timeleft > 0 ? [`${span(timeleft)} left`] : []),
    ...(rate > 0 ? [`${amount(rate)}/s`] : []),
    `${amount(done)} of ${amount(total)}`,
  ];
}

function barOf(part: number, width: number): string {
  const full = Math.floor(part * width);
  return "━".repeat(full) + "─".repeat(width - full);
}
