/** Tells a person what a script is doing, step by step, and how long each step took. */
export interface Progress {
  /** Runs the task under a title; the title is printed with the seconds that it took, or with "failed". */
  step<T>(title: string, task: () => Promise<T>): Promise<T>;
  /** One line as it is. */
  note(line: string): void;
}

/** The plain text of a duration: `0.42 s`, `12.3 s`. */
export function seconds(milliseconds: number): string {
  const value = milliseconds / 1000;
  return `${value < 10 ? value.toFixed(2) : value.toFixed(1)} s`;
}

const encoder = new TextEncoder();
let silent = false;

/** From now on nothing is printed: for a script that is interrupted, whose steps all fail. */
export function fallSilent(): void {
  silent = true;
}

/** Writes to standard output, whole. */
export function print(text: string): void {
  if (silent) return;
  let rest = encoder.encode(text);
  while (rest.length > 0) rest = rest.subarray(Deno.stdout.writeSync(rest));
}

/** Progress on standard output, a line for each step when it is over. */
export const printedProgress: Progress = {
  async step(title, task) {
    const begin = performance.now();
    const line = (outcome: string) => print(`  ${title.padEnd(60)} ${outcome}\n`);
    try {
      const result = await task();
      line(seconds(performance.now() - begin));
      return result;
    } catch (error) {
      line(`failed after ${seconds(performance.now() - begin)}`);
      throw error;
    }
  },
  note: (line) => print(`${line}\n`),
};

/** Says nothing; for tests. */
export const silentProgress: Progress = {
  step: (_title, task) => task(),
  note() {},
};
