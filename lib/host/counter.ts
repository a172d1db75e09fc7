/**
 * How far a counter went between two readings. One that runs backwards has either wrapped at 32 or 64 bits, which it can
 * only have done from the upper half of its range, or it was set back (a new tap device, say): then nothing is known, 0.
 */
export function counterDelta(before: number, after: number): number {
  if (after >= before) return after - before;
  const range = before < 2 ** 32 ? 2 ** 32 : 2 ** 64;
  return before >= range / 2 && after < range / 2 ? range - before + after : 0;
}
