import type { ErrorKind } from "../model/error.ts";

/** The exit codes that virtxd uses, by sysexits(3). */
export const ExitCode = {
  ok: 0,
  /** EX_USAGE: the command line is wrong. */
  usage: 64,
  /** EX_UNAVAILABLE: what virtxd stands on is not there: libvirt, /vms, an address to listen at. */
  unavailable: 69,
  /** EX_SOFTWARE: a defect of virtxd. */
  internal: 70,
  /** EX_NOPERM: not enough rights. */
  denied: 77,
  /** EX_CONFIG: a configuration file or variable is wrong. */
  config: 78,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** How the process ends after a failure of this kind that nothing could be done about. */
export function exitCodeOf(kind: ErrorKind): ExitCode {
  if (kind === "internal") return ExitCode.internal;
  if (kind === "denied") return ExitCode.denied;
  return ExitCode.unavailable;
}
