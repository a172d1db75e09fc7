/** How long ago something was, as short as it can be told: "3s", "5m", "2h", "4d". */
export function age(thenMs: number, nowMs: number): string {
  return thenMs > 0 ? span(Math.max(0, nowMs - thenMs)) : "-";
}

/** A length of time in its largest units: "850ms" is "0s", "75s" is "1m15s", "26h" is "1d2h". */
export function span(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return joined(minutes, "m", seconds % 60, "s");
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return hours < 10 ? joined(hours, "h", minutes % 60, "m") : `${hours}h`;
  const days = Math.floor(hours / 24);
  return days < 10 ? joined(days, "d", hours % 24, "h") : `${days}d`;
}

function joined(large: number, unit: string, small: number, smaller: string): string {
  return small === 0 ? `${large}${unit}` : `${large}${unit}${small}${smaller}`;
}

/** MiB, rounded to three digits and in a unit that suits: "512 MiB", "15.7 GiB". For exact sizes see formatSize. */
export function amount(mib: number): string {
  const size = Math.abs(mib);
  if (size < 1024) return `${round(mib)} MiB`;
  if (size < 1024 * 1024) return `${round(mib / 1024)} GiB`;
  return `${round(mib / 1024 / 1024)} TiB`;
}

/** KiB per second in a unit that suits: "12 KiB/s", "1.5 MiB/s". */
export function rate(kibPerS: number): string {
  return kibPerS < 1024 ? `${round(kibPerS)} KiB/s` : `${amount(kibPerS / 1024)}/s`;
}

/** MHz in a unit that suits: "800 MHz", "2.4 GHz". */
export function frequency(mhz: number): string {
  return Math.abs(mhz) < 1000 ? `${round(mhz)} MHz` : `${round(mhz / 1000)} GHz`;
}

/** A time as ISO 8601 has it, to the second, UTC; "-" for none, and for one that no date can tell. */
export function instant(ms: number): string {
  const date = new Date(ms);
  return ms > 0 && !Number.isNaN(date.getTime()) ? date.toISOString().replace(/\.\d+Z$/, "Z") : "-";
}

/** The same for programs, to which "-" is no time. */
export function instantOrNull(ms: number): string | null {
  return ms > 0 ? instant(ms) : null;
}

/** A part of a whole in percent: "42 %"; "-" of nothing. */
export function percent(part: number, whole: number): string {
  return whole > 0 ? `${Math.round(part / whole * 100)} %` : "-";
}

/** "1 VM", "3 VMs". */
export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** Three digits that count. */
function round(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}
