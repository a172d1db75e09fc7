import { VirtxError } from "../model/error.ts";
import { Health } from "../model/health.ts";
import { type Logger, silentLogger } from "../model/log.ts";
import { reasonOf } from "../posix/reason.ts";
import { Sockets } from "../posix/sockets.ts";
import { AnswerBudget } from "./answer_budget.ts";
import type { Api } from "./app.ts";
import {
  ConnectionKeeper,
  type ConnectionLimits,
  limitsFor,
  type RequestsOfConnection,
} from "./connections.ts";
import type { Connection } from "./exchange.ts";
import { problemResponse } from "./problem.ts";
import { weightOf } from "./respond.ts";
import { type ListenerPlan, type OpenListener, SupervisedListener } from "./supervised_listener.ts";
import { bindingPath, openUnixListener, type UnixAddress } from "./unix_listener.ts";

/** Where to listen without encryption. */
export type PlainAddress =
  | { readonly hostname: string; readonly port: number }
  | UnixAddress;

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

/** How long answers may take to reach their clients once there is nothing more to wait for. */
const LAST_WORDS_MS = 1_000;

export interface ListenOptions {
  /** Where it is told that nobody can connect. */
  readonly health?: Health;
  readonly log?: Logger;
  /** What connections may do; what is left out is as suits the process. */
  readonly limits?: Partial<ConnectionLimits>;
  /** How often a listener is asked whether it still hears, and how long it may take to answer. */
  readonly probeMs?: number;
  readonly answerMs?: number;
}

/**
 * The listeners that the API is served on. Plain ones only so far: those with TLS and client certificates, which
 * Deno.serve cannot do, are to be further {@link ListenerPlan}s here.
 */
export class Listeners implements AsyncDisposable {
  readonly #open: SupervisedListener[] = [];
  readonly #api: Api;
  readonly #keeper: ConnectionKeeper;
  readonly #answers = new AnswerBudget();
  readonly #o: ListenOptions;
  readonly #held = new DisposableStack();

  private constructor(api: Api, options: ListenOptions) {
    this.#api = api;
    this.#o = options;
    const sockets = this.#held.use(Sockets.open());
    const limits = { ...limitsFor(sockets.descriptorLimit), ...options.limits };
    this.#keeper = this.#held.use(
      new ConnectionKeeper({
        sockets,
        limits,
        health: options.health ?? new Health(),
        log: options.log ?? silentLogger,
      }),
    );
  }

  /**
   * Opens all listeners, or none.
   * @throws VirtxError unavailable, naming the address that cannot be had
   */
  static async open(
    api: Api,
    addresses: readonly PlainAddress[],
    options: ListenOptions = {},
  ): Promise<Listeners> {
    const listeners = new Listeners(api, options);
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

  /** How many connections there are, as of a moment ago. */
  get connections(): number {
    return this.#keeper.count;
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
    try {
      if (await settlesWithin(Promise.race([drained, answered]), deadlineMs)) return true;
      this.#api.interrupt();
      await settlesWithin(drained, LAST_WORDS_MS);
      return false;
    } finally {
      this.#held.dispose();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close(0);
  }

  async #listen(address: PlainAddress): Promise<SupervisedListener> {
    const plan = "path" in address ? this.#unixPlan(address) : this.#tcpPlan(address);
    const { health = new Health(), log = silentLogger, probeMs, answerMs } = this.#o;
    try {
      return await SupervisedListener.open(plan, {
        health,
        log,
        makeRoom: () => void this.#keeper.pass(),
        ...(probeMs !== undefined && { probeMs }),
        ...(answerMs !== undefined && { answerMs }),
      });
    } catch (cause) {
      throw new VirtxError("unavailable", `Cannot listen on ${plan.name}: ${reasonOf(cause)}`, { cause });
    }
  }

  #tcpPlan({ hostname, port: wanted }: { hostname: string; port: number }): ListenerPlan {
    const loopback = LOOPBACK.test(hostname);
    let port = wanted; // the system's choice is kept when it is opened again
    return {
      name: hostPort({ hostname, port }),
      blocking: true,
      open: (): Promise<OpenListener> => {
        const server = Deno.serve({ hostname, port, onListen() {} }, (request, info) => {
          const { hostname: client, port: clientPort } = info.remoteAddr;
          const held = connections.asked(client, clientPort);
          return this.#serve(request, new TcpConnection(loopback, client, held), info);
        });
        port = server.addr.port;
        const connections = this.#keeper.watchPort(port);
        return Promise.resolve({
          address: `http://${hostPort(server.addr)}`,
          server,
          probe: { hostname: reachable(hostname), port },
          sharesAddress: false,
        });
      },
    };
  }

  #unixPlan({ path, group }: UnixAddress): ListenerPlan {
    this.#keeper.watchPath(bindingPath(path));
    let own: string | undefined;
    return {
      name: `unix:${path}`,
      blocking: false,
      open: async () => {
        const listener = await openUnixListener({ path, group }, (request, info) => {
          const held = this.#keeper.askedOnUnix();
          return this.#serve(request, { loopback: false, client: () => undefined, held }, info);
        }, own);
        own = listener.identity;
        return listener;
      },
    };
  }

  /** Answers a request, and has its connection count as busy until the answer is sent. */
  #serve(
    request: Request,
    connection: Connection & { readonly held: RequestsOfConnection },
    info: { readonly completed: Promise<void> }, // which is made only when it is asked for
  ): Response | Promise<Response> {
    const response = this.#api.fetch(request, connection);
    if (response instanceof Promise) {
      connection.held.busyUntil(info.completed);
      return response.then((answer) => this.#weigh(answer, connection, info.completed));
    }
    const weight = weightOf(response);
    if (weight === undefined) return response;
    connection.held.busyUntil(info.completed);
    return this.#weigh(response, connection, info.completed);
  }

  #weigh(response: Response, connection: Connection, sent: Promise<void>): Response {
    const weight = weightOf(response);
    if (weight === undefined || weight === 0) return response;
    try {
      this.#answers.take(connection.client() ?? "", weight, sent);
      return response;
    } catch (error) {
      return problemResponse(error, response.headers.get("x-request-id") ?? "");
    }
  }
}

/** A TCP connection, for one request. */
class TcpConnection implements Connection {
  constructor(
    readonly loopback: boolean,
    readonly address: string,
    readonly held: RequestsOfConnection,
  ) {}

  client(): string {
    return this.address;
  }
}

/** Where this host reaches a listener of its own. */
function reachable(hostname: string): string {
  if (hostname === "0.0.0.0") return "127.0.0.1";
  return hostname === "::" ? "::1" : hostname;
}

async function settlesWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, ms, false);
  const inTime = await Promise.race([work.then(() => true), promise]);
  clearTimeout(timer);
  return inTime;
}

function hostPort({ hostname, port }: { hostname: string; port: number }): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
