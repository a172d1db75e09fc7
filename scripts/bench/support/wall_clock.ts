/** UTC milliseconds, finer than Date.now(): to compare moments between processes of one machine. */
export function wallClock(): number {
  return performance.timeOrigin + performance.now();
}
