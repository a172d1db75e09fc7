import type { Timers } from "../../lib/cluster/timers.ts";

interface Task {
  readonly at: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** Resolving a promise may resolve others; so many steps are enough for whatever the code under test awaits. */
const MICROTASKS = 40;

/**
 * Time that passes only when told to, and then at once: tasks run in the order of their times, those of one time in the order
 * in which they were planned. Starts at 0.
 */
export class VirtualTime implements Timers {
  /** A binary heap, the next task first. */
  readonly #heap: Task[] = [];
  #now = 0;
  #planned = 0;
  #unsettled = false;

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): Disposable {
    const task: Task = { at: this.#now + Math.max(0, ms), order: this.#planned++, run };
    this.#push(task);
    return { [Symbol.dispose]: () => task.run = undefined };
  }

  /** What runs now resolves promises: before the next task those who await them go on. */
  settle(): void {
    this.#unsettled = true;
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.#drain();
    for (;;) {
      const next = this.#heap[0];
      if (!next || next.at > end) break;
      this.#pop();
      this.#now = next.at;
      next.run?.();
      if (this.#unsettled) await this.#drain();
    }
    this.#now = end;
  }

  /**
   * Lets time pass until the condition holds, looking every step.
   * @returns how long it took, or undefined if it was more than the limit
   */
  async until(condition: () => boolean, limitMs: number, stepMs = 50): Promise<number | undefined> {
    const start = this.#now;
    while (!condition()) {
      if (this.#now - start >= limitMs) return undefined;
      await this.pass(stepMs);
    }
    return this.#now - start;
  }

  async #drain(): Promise<void> {
    this.#unsettled = false;
    for (let step = 0; step < MICROTASKS; step++) await undefined;
  }

  #push(task: Task): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(task);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Task;
      if (isBefore(above, task)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = task;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Task;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Task, heap[child] as Task)) child++;
      if (isBefore(last, heap[child] as Task)) break;
      heap[at] = heap[child] as Task;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Task, b: Task): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Numbers that look random and are the same in each run (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
