import type { Clock } from "../model/clock.ts";
import { errorMessage } from "../model/error.ts";
import { LOG_LEVELS, type LogFields, type Logger, type LogLevel } from "../model/log.ts";

/** One line before it is written. */
export interface LogEntry {
  /** UTC milliseconds. */
  readonly time: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** An entry as a line, without its newline. */
export type LogFormat = (entry: LogEntry) => string;

/** Which lines are let through; can be changed while running. */
export class LogThreshold {
  #level: LogLevel;
  /** What {@link toggleDebug} goes back to. */
  #usual: LogLevel;

  constructor(level: LogLevel) {
    this.#level = this.#usual = level;
  }

  get(): LogLevel {
    return this.#level;
  }

  set(level: LogLevel): void {
    this.#level = this.#usual = level;
  }

  /** To debug, or back from there to what was set last (to info if that was debug); the new level. */
  toggleDebug(): LogLevel {
    if (this.#level !== "debug") this.#level = "debug";
    else this.#level = this.#usual === "debug" ? "info" : this.#usual;
    return this.#level;
  }

  lets(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(this.#level);
  }
}

/** A logger that writes what the threshold lets through, line by line, in one of the formats below. */
export function createLogger(o: {
  readonly threshold: LogThreshold;
  readonly format: LogFormat;
  readonly clock: Clock;
  /** Takes a line with its newline. */
  readonly write: (line: string) => void;
  /** Counts defects; whether this one is worth a line. */
  readonly onDefect?: (message: string, error: unknown) => boolean;
}): Logger {
  const bound = (context: LogFields): Logger => {
    const at = (level: LogLevel) => (message: string, fields: LogFields = {}) => {
      if (!o.threshold.lets(level)) return;
      o.write(o.format({ time: o.clock(), level, message, fields: { ...context, ...fields } }) + "\n");
    };
    return {
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      defect(message, error, fields) {
        if (o.onDefect?.(message, error) === false) return;
        const stack = error instanceof Error ? error.stack : undefined;
        at("error")(message, { ...fields, error: errorMessage(error), stack });
      },
      with: (fields) => bound({ ...context, ...fields }),
    };
  };
  return bound({});
}

/** JSON: `time` by RFC 3339 in UTC with milliseconds, `level`, `msg`, and the fields beside them. */
export const jsonFormat: LogFormat = ({ time, level, message, fields }) => {
  const { time: _time, level: _level, msg: _msg, ...others } = fields;
  return escapeControls(
    JSON.stringify({ time: new Date(time).toISOString(), level, msg: message, ...others }),
  );
};

/** For eyes: time, level, message, then `name=value`; values are quoted where they would be ambiguous. */
export function textFormat(o: { readonly color: boolean }): LogFormat {
  return ({ time, level, message, fields }) => {
    const word = level.toUpperCase().padEnd(5);
    const values = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => ` ${name}=${textValue(String(value))}`);
    return [
      new Date(time).toISOString(),
      o.color ? `\x1b[${LEVEL_COLORS[level]}m${word}\x1b[0m` : word,
      escapeControls(message) + values.join(""),
    ].join(" ");
  };
}

const LEVEL_COLORS: Readonly<Record<LogLevel, number>> = { debug: 2, info: 32, warn: 33, error: 31 };

function textValue(value: string): string {
  return escapeControls(/^[^\s"=]+$/.test(value) ? value : JSON.stringify(value));
}

/**
 * What a terminal or a log reader could take for something else than text is shown as \uXXXX: control characters
 * (C0, DEL, C1), invisible format characters such as those that turn the direction, line separators, lone surrogates.
 */
function escapeControls(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (character) =>
      Array.from(
        { length: character.length },
        (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`,
      ).join(""),
  );
}
