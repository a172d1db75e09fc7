import { errorMessage } from "../model/error.ts";
import { errnoCode } from "./errno.ts";

/** What went wrong below us, in words that stand behind "Cannot read "x": ". By the names of errno(3). */
const WORDS: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EPERM: "Permission denied",
  ENOENT: "there is no such file",
  EEXIST: "it is there already",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is no directory",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "the name is too long",
  ENOSPC: "no space left on the device",
  EDQUOT: "the quota is used up",
  EROFS: "the file system is read-only",
  EIO: "the device has failed (input/output error)",
  EBADF: "it is closed",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open on this machine",
  ENOMEM: "out of memory",
  ECONNREFUSED: "Connection refused, nobody listens there",
  ECONNRESET: "the server hung up",
  EPIPE: "the server hung up",
  ETIMEDOUT: "no answer",
  EHOSTUNREACH: "there is no way to that host",
  EHOSTDOWN: "the host is down",
  ENETUNREACH: "there is no way to that network",
  EADDRINUSE: "another program uses the address",
  EADDRNOTAVAIL: "this host has no such address",
};

/** The numbers that fetch tells in place of names; asm-generic. */
const NUMBERS: Readonly<Record<string, string>> = {
  2: "ENOENT",
  13: "EACCES",
  24: "EMFILE",
  32: "EPIPE",
  101: "ENETUNREACH",
  104: "ECONNRESET",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
  112: "EHOSTDOWN",
  113: "EHOSTUNREACH",
};

/** What fetch says of connections, from the innermost of its causes. */
const CONNECTIONS: readonly (readonly [RegExp, string])[] = [
  [/failed to lookup address|dns error|name or service not known/i, "the name is not known (DNS)"],
  [
    /InvalidContentType|corrupt message|wrong version number|HandshakeFailure/i,
    "it does not speak TLS: try http://",
  ],
  [
    /Requests to port \d+ are blocked/,
    "the port is one that no HTTP client asks (Fetch standard, bad ports)",
  ],
  [/invalid peer certificate: (\w+)/i, "its certificate is not trusted"],
  [/invalid HTTP version|invalid HTTP (status|header)|InvalidChunkSize/i, "it does not speak HTTP"],
  [
    /connection closed before message completed|unexpected end of file|UnexpectedEof|end of file before message length|error reading a body/i,
    "the server hung up",
  ],
];

/** The errno's name behind an error of files, of sockets or of fetch; undefined: there is none. */
export function systemCode(error: unknown): string | undefined {
  const code = errnoCode(error);
  if (code !== undefined) return code;
  for (let at = error; at instanceof Error; at = at.cause) {
    const number = /\(os error (\d+)\)/.exec(at.message)?.[1];
    if (number !== undefined) return NUMBERS[number];
  }
  return undefined;
}

/**
 * Why something failed below us, for people: "no space left on the device"; the system's own words where there are none here.
 * What the permissions of the executable do not let it do is told without the flags of the runtime, which nobody can give.
 */
export function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return "this program lets itself write only below /vms, /run/virtxd and /var/lib/virtxd, and not read devices or the system's own files";
  }
  const words = WORDS[systemCode(error) ?? ""];
  if (words !== undefined) return words;
  const message = errorMessage(innermost(error));
  for (const [pattern, said] of CONNECTIONS) if (pattern.test(message)) return said;
  return message.replace(/^.*client error \(\w+\): /, "").replace(/ \(os error \d+\).*$/, "");
}

function innermost(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? innermost(error.cause) : error;
}
