import { VirtxError } from "../../model/error.ts";

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Reads a length of time, milliseconds: 30s, 5m, 1h30m; a number alone is seconds.
 * @param what the value is of, for messages: "--timeout"
 * @throws VirtxError invalid
 */
export function parseDuration(text: string, what: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  if (!/^(\d{1,9}(ms|s|m|h|d))+$/.test(text)) {
    throw new VirtxError(
      "invalid",
      `${what} must be a time such as 30s, 5m or 1h, not ${JSON.stringify(text)}`,
    );
  }
  let ms = 0;
  for (const [, number, unit = ""] of text.matchAll(/(\d+)([a-z]+)/g)) {
    ms += Number(number) * (UNITS[unit] ?? 0);
  }
  return ms;
}
