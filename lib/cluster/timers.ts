/** Time as the cluster needs it: the machine's, or a simulation's. */
export interface Timers {
  /** Milliseconds on a clock that nobody sets. */
  now(): number;
  /** Runs the task later, once; disposing what is returned calls it off. */
  after(ms: number, task: () => void): Disposable;
}

/** The machine's own. */
export const systemTimers: Timers = {
  now: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** A number from 0 up to, but not including, 1; Math.random in the daemon. */
export type Random = () => number;

/** The duration, up to so much of it longer or shorter: so that hosts do not fall into step. */
export function jittered(ms: number, share: number, random: Random): number {
  return ms * (1 + share * (2 * random() - 1));
}
