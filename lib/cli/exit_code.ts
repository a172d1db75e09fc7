import type { ErrorKind } from "../model/error.ts";

/** The exit codes of virtxd: from 64 on by sysexits(3), below that the client's own. */
export const ExitCode = {
  ok: 0,
  /** The cluster refused, or could not do it; or some of several failed. */
  refused: 1,
  /** There is no such VM, host or operation. */
  notFound: 4,
  /** The state of the VM does not allow it, somebody else changes or has changed it, or a name is taken or ambiguous. */
  conflict: 5,
  /** EX_USAGE: the command line, or a definition, is wrong. */
  usage: 64,
  /** EX_UNAVAILABLE: what virtxd stands on is not there: libvirt, /vms, an address to listen at; a server. */
  unavailable: 69,
  /** EX_SOFTWARE: a defect of virtxd. */
  internal: 70,
  /** EX_IOERR: the output could not be written. */
  output: 74,
  /** EX_TEMPFAIL: not done in the time that it was given. */
  timeout: 75,
  /** EX_NOPERM: not enough rights. */
  denied: 77,
  /** EX_CONFIG: a configuration file or variable is wrong. */
  config: 78,
  /** Ended by Ctrl-C: 128 and the number of SIGINT, as shells have it. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** How the daemon ends after a failure of this kind that nothing could be done about. */
export function exitCodeOf(kind: ErrorKind): ExitCode {
  if (kind === "internal") return ExitCode.internal;
  if (kind === "denied") return ExitCode.denied;
  return ExitCode.unavailable;
}

/** How the client ends after a failure of this kind. */
export function clientExitCodeOf(kind: ErrorKind): ExitCode {
  return CLIENT_CODES[kind];
}

const CLIENT_CODES: Readonly<Record<ErrorKind, ExitCode>> = {
  invalid: ExitCode.usage,
  denied: ExitCode.denied,
  not_found: ExitCode.notFound,
  duplicate: ExitCode.conflict,
  stale: ExitCode.conflict,
  conflict: ExitCode.conflict,
  refused: ExitCode.refused,
  internal: ExitCode.internal,
  unimplemented: ExitCode.refused,
  unreachable: ExitCode.unavailable,
  unavailable: ExitCode.unavailable,
  timeout: ExitCode.timeout,
  storage: ExitCode.refused,
  loop: ExitCode.refused,
  cancelled: ExitCode.refused,
};

/** What each code of the client means, for help. */
export const CLIENT_EXIT_CODES: readonly (readonly [code: string, meaning: string])[] = [
  ["0", "done"],
  ["1", "the cluster refused or could not do it; or some of several failed"],
  ["4", "there is no such VM, host or operation"],
  [
    "5",
    "its state does not allow this, another has changed it meanwhile, or a name is taken or fits several",
  ],
  ["64", "wrong usage, or a definition that breaks a rule"],
  ["69", "no server answers, or the host that is needed is away"],
  ["70", "a defect of virtxd"],
  ["74", "the output could not be written: the disk is full"],
  ["75", "not done in the time given by --timeout"],
  ["77", "not enough rights"],
  ["78", "wrong configuration"],
  ["130", "ended by Ctrl-C"],
];
