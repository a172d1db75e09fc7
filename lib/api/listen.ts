import { dirname } from "node:path";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { Api } from "./app.ts";
import type { Connection } from "./exchange.ts";

/** Where to listen without encryption. */
export type PlainAddress =
  | { readonly hostname: string; readonly port: number }
  | { readonly path: string; readonly group?: number | undefined };

/**
 * Owner and group may use the socket; its directory, if it is made here, is closed to others as well. A group that is named
 * gets both.
 */
const SOCKET_MODE = 0o660;
const DIRECTORY_MODE = 0o750;

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

/** How long answers may take to reach their clients once there is nothing more to wait for. */
const LAST_WORDS_MS = 1_000;

/** An open listener. */
interface Listener {
  /** `http://127.0.0.1:8080` or `unix:/run/virtxd/api.sock`. */
  readonly address: string;
  /** Accepts no more and resolves when the last request is answered. */
  drain(): Promise<void>;
}

/**
 * The listeners that the API is served on. Plain ones only so far: those with TLS and client certificates, which
 * Deno.serve cannot do, are to be further {@link Listener}s here.
 */
export class Listeners implements AsyncDisposable {
  readonly #open: Listener[] = [];
  readonly #api: Api;

  private constructor(api: Api) {
    this.#api = api;
  }

  /**
   * Opens all listeners, or none.
   * @throws VirtxError unavailable, naming the address that cannot be had
   */
  static async open(api: Api, addresses: readonly PlainAddress[]): Promise<Listeners> {
    const listeners = new Listeners(api);
    try {
      for (const address of addresses) listeners.#open.push(await listeners.#listen(address));
      return listeners;
    } catch (error) {
      await listeners.close(0);
      throw error;
    }
  }

  /** Where one can connect to, with the ports that the system chose. */
  get addresses(): readonly string[] {
    return this.#open.map((listener) => listener.address);
  }

  /**
   * Accepts no more and lets open requests finish until the deadline; then they are answered with 503. (The signal of
   * Deno.serve cannot cut them off: aborted after shutdown() it throws where nobody can catch it.)
   * @returns whether all finished by themselves
   */
  async close(deadlineMs: number): Promise<boolean> {
    this.#api.hangUp();
    const drained = Promise.all(this.#open.splice(0).map((listener) => listener.drain()));
    // A client may have fallen asleep, and never take the rest of its answer, or our goodbye.
    const answered = this.#api.idle().then(() => settlesWithin(drained, LAST_WORDS_MS));
    if (await settlesWithin(Promise.race([drained, answered]), deadlineMs)) return true;
    this.#api.interrupt();
    await settlesWithin(drained, LAST_WORDS_MS);
    return false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close(0);
  }

  async #listen(address: PlainAddress): Promise<Listener> {
    const name = "path" in address ? `unix:${address.path}` : hostPort(address);
    try {
      return "path" in address
        ? await this.#listenUnix(address.path, address.group)
        : this.#listenTcp(address);
    } catch (cause) {
      throw new VirtxError("unavailable", `Cannot listen on ${name}: ${errorMessage(cause)}`, { cause });
    }
  }

  #listenTcp({ hostname, port }: { hostname: string; port: number }): Listener {
    const loopback = LOOPBACK.test(hostname);
    const server = Deno.serve(
      { hostname, port, onListen() {} },
      (request, info) => {
        let client: string | undefined; // asked for seldom, but also when the request has become a WebSocket
        return this.#api.fetch(request, { loopback, client: () => client ??= info.remoteAddr.hostname });
      },
    );
    return listener(`http://${hostPort(server.addr)}`, server);
  }

  async #listenUnix(path: string, group: number | undefined): Promise<Listener> {
    const directory = dirname(path);
    await Deno.mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
    await removeStaleSocket(path);
    const connection: Connection = { loopback: false, client: () => undefined };
    const server = Deno.serve(
      { path, onListen() {} },
      (request) => this.#api.fetch(request, connection),
    );
    if (group !== undefined) { for (const each of [directory, path]) Deno.chownSync(each, null, group); }
    Deno.chmodSync(path, SOCKET_MODE);
    return listener(`unix:${path}`, server);
  }
}

function listener(address: string, server: Deno.HttpServer<Deno.Addr>): Listener {
  return { address, drain: () => server.shutdown() };
}

async function settlesWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, ms, false);
  const inTime = await Promise.race([work.then(() => true), promise]);
  clearTimeout(timer);
  return inTime;
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
  if (!found.isSocket) throw new Error("there is something else than a socket");
  try {
    const connection = await Deno.connect({ transport: "unix", path });
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    await Deno.remove(path);
    return;
  }
  throw new Error("another process listens there");
}

function hostPort({ hostname, port }: { hostname: string; port: number }): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
