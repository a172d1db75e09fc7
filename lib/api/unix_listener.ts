import { dirname } from "node:path";
import { VirtxError } from "../model/error.ts";
import type { OpenListener } from "./supervised_listener.ts";

/** Where to listen, and the group that gets the socket and its directory; left out: that of the process. */
export interface UnixAddress {
  readonly path: string;
  readonly group?: number | undefined;
}

export interface UnixListener extends OpenListener {
  /** Tells its socket from others at that path. */
  readonly identity: string | undefined;
}

/** Owner and group may use the socket; its directory, if it is made here, is closed to others as well. */
const SOCKET_MODE = 0o660;
const DIRECTORY_MODE = 0o750;

/** Where a socket is made, before it takes its place in one step. */
export function bindingPath(path: string): string {
  return `${path}~`;
}

/**
 * Opens a unix socket: under another name, so that it is nobody's before its mode is set, and so that the server, which removes
 * that name in the end, never removes what others may have put in its place.
 * @param own the identity of the socket that it is to replace, if that is still there
 */
export async function openUnixListener(
  { path, group }: UnixAddress,
  handler: Deno.ServeHandler<Deno.UnixAddr>,
  own?: string,
): Promise<UnixListener> {
  const directory = dirname(path);
  await Deno.mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  if (own === undefined || identityOf(path) !== own) await removeStaleSocket(path);
  const binding = bindingPath(path);
  await removeStaleSocket(binding);
  const server = Deno.serve({ path: binding, onListen() {} }, handler);
  let identity: string | undefined;
  try {
    if (group !== undefined) letIn(group, directory, binding);
    Deno.chmodSync(binding, SOCKET_MODE);
    identity = identityOf(binding);
    Deno.renameSync(binding, path);
  } catch (error) {
    await server.shutdown();
    throw error;
  }
  return {
    address: `unix:${path}`,
    server,
    probe: { transport: "unix", path },
    sharesAddress: true,
    identity,
    lost() {
      const now = identityOf(path);
      if (now === identity) return undefined;
      return now === undefined ? "its path has been removed" : "something else is in its place";
    },
    closed() {
      if (identityOf(path) === identity) Deno.removeSync(path);
    },
  };
}

/** Gives the socket to a group; its directory as well if the group could not get through, and only then. */
function letIn(group: number, directory: string, socket: string): void {
  const { mode } = Deno.statSync(directory);
  if (mode !== null && (mode & 0o001) === 0) Deno.chownSync(directory, null, group);
  Deno.chownSync(socket, null, group);
}

/** What tells one file from another; undefined: there is none. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = Deno.lstatSync(path);
    return `${dev}:${ino}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}

/** A process that was killed leaves its socket behind; one that answers is in use, and anything else is not ours. */
async function removeStaleSocket(path: string): Promise<void> {
  let found: Deno.FileInfo;
  try {
    found = await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!found.isSocket) throw new VirtxError("unavailable", "there is something else than a socket");
  try {
    const connection = await Deno.connect({ transport: "unix", path });
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    await Deno.remove(path);
    return;
  }
  throw new VirtxError("unavailable", "another process listens there");
}
