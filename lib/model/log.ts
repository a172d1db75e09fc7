/** Values that a log line may carry: flat, never secrets. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** One line per decision: a short message that stays the same, and fields (vm, host, op, ms, …) that vary. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** What should never happen (see defect.ts): at level error with its stack, and counted for /readyz. */
  defect(message: string, error: unknown, fields?: LogFields): void;
  /** A logger that adds these fields to each of its lines. */
  with(fields: LogFields): Logger;
}

/** Says nothing, for tests and for tools; a defect is an error that nobody has caught all the same. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  defect: (_message, error) => reportError(error),
  with: () => silentLogger,
};
