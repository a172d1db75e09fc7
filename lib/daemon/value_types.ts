import type { TomlValue } from "smol-toml";

/** How the values of a setting are written and read; `undefined` from a reader: that is not such a value. */
export interface ValueType<T> {
  /** Completes "must be …". */
  readonly expected: string;
  /** What the help shows behind the flag; empty: the flag takes no value. */
  readonly placeholder: string;
  /** Whether the flag may be given several times. */
  readonly repeatable?: boolean;
  /** From a flag or an environment variable. */
  fromText(text: string): T | undefined;
  fromToml(value: TomlValue): T | undefined;
  /** As `fromText` reads it back. */
  toText(value: T): string;
  /** As `fromToml` reads it back. */
  toToml(value: T): string;
}

/** A value that is one word or text in each of the places. */
function textual<T>(o: {
  expected: string;
  placeholder: string;
  fromText: (text: string) => T | undefined;
  toText: (value: T) => string;
}): ValueType<T> {
  return {
    expected: o.expected,
    placeholder: o.placeholder,
    fromText: o.fromText,
    toText: o.toText,
    fromToml: (value) => typeof value === "string" ? o.fromText(value) : undefined,
    toToml: (value) => JSON.stringify(o.toText(value)),
  };
}

/** Text that matches a pattern. */
export function text(placeholder: string, expected: string, pattern: RegExp): ValueType<string> {
  const fromText = (text: string) => pattern.test(text) ? text : undefined;
  return textual({ expected, placeholder, fromText, toText: (value) => value });
}

/** One of a few words. */
export function choice<const W extends string>(...words: readonly W[]): ValueType<W> {
  return textual({
    expected: `one of ${words.join(", ")}`,
    placeholder: words.join("|"),
    fromText: (text) => words.find((word) => word === text),
    toText: (value) => value,
  });
}

/** A value, or "none": null, as `undefined` would mean "no such value". */
export function optional<T>(type: ValueType<T>): ValueType<T | null> {
  return {
    expected: `${type.expected}, or "none"`,
    placeholder: `${type.placeholder}|none`,
    fromText: (text) => text === "none" ? null : type.fromText(text),
    fromToml: (value) => value === "none" ? null : type.fromToml(value),
    toText: (value) => value === null ? "none" : type.toText(value),
    toToml: (value) => value === null ? '"none"' : type.toToml(value),
  };
}

export const absolutePath: ValueType<string> = text("path", "an absolute path", /^\/[^\0]*$/);

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** A time span in milliseconds, written with its unit, within bounds (milliseconds, inclusive). */
export function duration(minMs: number, maxMs: number): ValueType<number> {
  return textual({
    expected: `a time from ${formatDuration(minMs)} to ${formatDuration(maxMs)} with its unit (ms, s, m, h)`,
    placeholder: "time",
    fromText: (text) => {
      const match = /^(\d{1,9})(ms|s|m|h)$/.exec(text);
      if (!match) return undefined;
      const ms = Number(match[1]) * UNITS_MS[match[2] as keyof typeof UNITS_MS];
      return ms >= minMs && ms <= maxMs ? ms : undefined;
    },
    toText: formatDuration,
  });
}

/** In the largest unit that gives a whole number: 90000 is "90s". */
export function formatDuration(ms: number): string {
  for (const unit of ["h", "m", "s"] as const) {
    if (ms > 0 && ms % UNITS_MS[unit] === 0) return `${ms / UNITS_MS[unit]}${unit}`;
  }
  return `${ms}ms`;
}

/** A whole number within bounds, inclusive. */
export function integer(min: number, max: number): ValueType<number> {
  const within = (value: number) =>
    Number.isInteger(value) && value >= min && value <= max ? value : undefined;
  return {
    expected: `a whole number from ${min} to ${max}`,
    placeholder: "number",
    fromText: (text) => /^\d{1,15}$/.test(text) ? within(Number(text)) : undefined,
    fromToml: (value) => typeof value === "number" ? within(value) : undefined,
    toText: String,
    toToml: String,
  };
}

/** Off unless the flag is there. */
export const switchType: ValueType<boolean> = {
  expected: "true or false",
  placeholder: "",
  fromText: (text) => text === "true" ? true : text === "false" ? false : undefined,
  fromToml: (value) => typeof value === "boolean" ? value : undefined,
  toText: String,
  toToml: String,
};

/** Several values of one type: comma-separated, a repeated flag, or a TOML array. "none", or an empty text: no value. */
export function list<T>(item: ValueType<T>): ValueType<readonly T[]> {
  const all = <V>(values: readonly V[], read: (value: V) => T | undefined): readonly T[] | undefined => {
    const results = values.map(read);
    return results.includes(undefined) ? undefined : results.filter((value) => value !== undefined);
  };
  return {
    expected: `a list, each entry ${item.expected}; or "none"`,
    placeholder: `${item.placeholder},…|none`,
    repeatable: true,
    fromText: (text) =>
      text === "" || text === "none" ? [] : all(text.split(",").map((part) => part.trim()), item.fromText),
    fromToml: (value) => value === "none" ? [] : Array.isArray(value) ? all(value, item.fromToml) : undefined,
    toText: (values) => values.map(item.toText).join(",") || "none",
    toToml: (values) => `[${values.map(item.toToml).join(", ")}]`,
  };
}

/** Where to listen: an address literal or "localhost", and a port; 0 is any free one. */
export interface ListenAddress {
  /** Without the brackets that an IPv6 address has in writing. */
  readonly hostname: string;
  readonly port: number;
}

/** The usual writing, with brackets around an IPv6 address. */
export function formatAddress({ hostname, port }: ListenAddress): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

/** Whether only this machine can connect to it. */
export function isLoopback({ hostname }: ListenAddress): boolean {
  return hostname === "localhost" || hostname === "::1" || hostname.startsWith("127.");
}

export const listenAddress: ValueType<ListenAddress> = textual({
  expected: "an IP address and port such as 127.0.0.1:8080 or [::1]:8080",
  placeholder: "address:port",
  fromText: (text) => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|(localhost|[\d.]+)):(\d{1,5})$/.exec(text);
    const hostname = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (hostname === undefined || port > 65535 || !isAddress(hostname)) return undefined;
    return { hostname, port };
  },
  toText: formatAddress,
});

function isAddress(hostname: string): boolean {
  if (hostname === "localhost") return true;
  if (hostname.includes(":")) return URL.canParse(`http://[${hostname}]/`);
  const parts = hostname.split(".");
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
}
