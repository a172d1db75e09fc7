import { errorMessage, VirtxError } from "../model/error.ts";
import { Connection } from "./connection.ts";
import { settlesWithin } from "./deadline.ts";
import { cString } from "./memory.ts";
import type { Runtime } from "./runtime.ts";

/** Where a libvirt daemon takes connections by TCP. */
const LIBVIRT_PORT = 16_509;
/**
 * The last of the ports at which QEMU listens for guests that migrate, unless qemu.conf says otherwise. libvirt takes the first
 * that is free, and a QEMU listens only until somebody has connected: whoever knocked there would take a guest's place.
 */
const MIGRATION_PORT = 49_215;

/** How long a daemon may take to accept a connection, and to answer the first question. */
const KNOCK_MS = 3_000;
/** How long it may take to let this host in. */
const OPEN_MS = 5_000;

/** virNetMessageHeader of REMOTE_PROC_AUTH_LIST, which every client asks first: length, program, version, procedure, a call, serial, status. */
const AUTH_LIST = [28, 0x2000_8086, 1, 66, 0, 0, 0] as const;

/** How a host is set up, for who is told that it is not. */
const LISTENS = "systemctl enable --now libvirtd-tcp.socket (or virtproxyd-tcp.socket) has it listen there";
const OPEN =
  'auth_tcp = "none" in /etc/libvirt/libvirtd.conf (or virtproxyd.conf) there lets in whoever reaches it; ' +
  "otherwise this host's libvirt needs credentials in /etc/libvirt/auth.conf";

/**
 * Makes sure that a libvirt daemon takes TCP connections, and answers: virConnectOpen has no deadline, so it is not to be tried with
 * one that does not.
 *
 * @param port of the daemon; libvirt's own unless a test has another
 * @throws VirtxError unreachable, with what to do about it
 */
export async function knock(hostname: string, port = LIBVIRT_PORT): Promise<void> {
  const signal = AbortSignal.timeout(KNOCK_MS);
  const at = `at ${hostname} port ${port}`;
  let connection: Deno.TcpConn;
  try {
    connection = await Deno.connect({ hostname, port, signal });
  } catch (error) {
    if (signal.aborted) {
      throw unreachable(`${at} nothing answers within ${KNOCK_MS / 1000} s; is there a firewall?`);
    }
    throw unreachable(`nothing listens ${at} (${errorMessage(error)}); ${LISTENS}`);
  }
  using daemon = connection;
  const close = () => daemon.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    const call = new DataView(new ArrayBuffer(4 * AUTH_LIST.length));
    AUTH_LIST.forEach((word, index) => call.setUint32(4 * index, word));
    await daemon.write(new Uint8Array(call.buffer));
    if (await daemon.read(new Uint8Array(1)) === null) throw new Error("it hangs up");
  } catch (error) {
    const why = signal.aborted
      ? `does not answer within ${KNOCK_MS / 1000} s`
      : `fails: ${errorMessage(error)}`;
    throw unreachable(`what listens ${at} ${why}; does libvirtd hang, or is it another program?`);
  } finally {
    signal.removeEventListener("abort", close);
  }
}

/**
 * Connects with a daemon that answers, as the libvirt of this host will for a migration (virConnectOpenAuth, with the credentials
 * that its configuration has, and nobody to ask).
 *
 * @param later gets what goes on if the daemon hangs just then: nothing can end the call
 * @throws VirtxError unreachable, with libvirt's reason and what to do about it
 */
export async function openRemote(
  runtime: Runtime,
  uri: string,
  later: (work: Promise<void>) => void,
): Promise<Connection> {
  const { libvirt } = runtime;
  const name = cString(uri);
  const auth = credentials();
  const close = async (connection: Deno.PointerValue) => {
    if (connection !== null) await libvirt.virConnectClose(connection);
  };
  let hangs = false;
  const opened = await runtime.openExclusively(async () => {
    const opening = libvirt.virConnectOpenAuth(name, auth, 0);
    if (await settlesWithin(OPEN_MS, opening)) return await opening;
    hangs = true;
    later(opening.then(close));
    return null; // so that other connections can be opened
  });
  if (hangs) throw unreachable(`${uri}: it has not let this host in for ${OPEN_MS / 1000} s`);
  if (!("code" in opened)) return await Connection.of(runtime, opened);
  const isAuthentication = /authentica|sasl/i.test(opened.message);
  throw unreachable(`${uri}: ${opened.message}${isAuthentication ? `; ${OPEN}` : ""}`);
}

/**
 * struct virConnectAuth { int *credtype; unsigned int ncredtype; virConnectAuthCallbackPtr cb; void *cbdata; }, as libvirt itself
 * has it for migrations: a user (VIR_CRED_AUTHNAME) and a password (VIR_CRED_PASSPHRASE), and no callback to ask for them. Both
 * types are in the same buffer, so that they live as long.
 */
function credentials(): BigUint64Array<ArrayBuffer> {
  const auth = new BigUint64Array(5);
  const typesAt = 4 * auth.BYTES_PER_ELEMENT;
  const types = new Int32Array(auth.buffer, typesAt);
  types.set([2, 5]);
  auth[0] = Deno.UnsafePointer.value(Deno.UnsafePointer.of(auth)) + BigInt(typesAt);
  auth[1] = BigInt(types.length);
  return auth;
}

/**
 * Whether connections to a port are accepted or refused in time, rather than vanish: nothing listens at a port for migrations until
 * there is one.
 */
export async function isLetThrough(hostname: string, port = MIGRATION_PORT): Promise<boolean> {
  const signal = AbortSignal.timeout(KNOCK_MS);
  try {
    using _connection = await Deno.connect({ hostname, port, signal });
    return true;
  } catch (error) {
    return error instanceof Deno.errors.ConnectionRefused;
  }
}

function unreachable(why: string): VirtxError {
  return new VirtxError("unreachable", `its libvirt cannot be reached from here: ${why}`);
}
