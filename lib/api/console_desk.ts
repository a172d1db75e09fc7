import { inBackground } from "../model/background.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { ConsoleUseCases } from "../vm/consoles.ts";
import { type ConsoleLine, RemoteConsole } from "./console_line.ts";
import { CONSOLE_CLOSE, CONSOLE_PROTOCOL, GOING_AWAY } from "./console_protocol.ts";
import { ConsoleRelay } from "./console_relay.ts";
import type { Exchange } from "./exchange.ts";
import { NO_BODY } from "./body.ts";
import type { PassedAnswer, Passing } from "./passing.ts";
import { HttpError } from "./problem.ts";
import type { Routing } from "./routing.ts";
import { BROKEN } from "./websocket_client.ts";

/** How often a client that says nothing is asked for a sign of life; after twice that time it is gone. */
const IDLE_S = 30;

export interface ConsoleDeskOptions {
  readonly consoles: ConsoleUseCases;
  readonly routing: Routing;
  readonly passing: Passing;
  /** The host that a VM is on, as far as is known. */
  readonly hostOf: (vm: string) => string | undefined;
  readonly log: Logger;
  readonly clock: () => number;
}

/** Serves consoles: those of this host's VMs, and those of other hosts' as a go-between. */
export class ConsoleDesk implements Disposable {
  readonly #o: ConsoleDeskOptions;
  readonly #open = new Set<ConsoleRelay>();
  #ended = false;

  constructor(options: ConsoleDeskOptions) {
    this.#o = options;
  }

  /**
   * Answers a request for a console.
   * @throws HttpError if it does not ask for a WebSocket; VirtxError what keeps the console from being opened
   */
  async serve(uuid: string, force: boolean, exchange: Exchange): Promise<Response> {
    const { consoles, routing, hostOf } = this.#o;
    const protocol = requestedProtocol(exchange.request);
    if (this.#ended) {
      throw new VirtxError("unavailable", "Cannot open a console: virtxd is stopping", { retryAfterS: 10 });
    }
    const passed = { exchange, bytes: NO_BODY.bytes, patience: "read" as const, tracked: false };
    const here = async () => {
      const opened = await consoles.open(uuid, { force });
      const ended = opened.ended.then(({ fate, reason }) => ({
        code: fate === "closed" ? 1000 : CONSOLE_CLOSE[fate],
        reason,
      }));
      return this.#connect(lineOf(opened, ended), uuid, protocol, exchange);
    };
    const there = (host: string) => this.#pass(host, uuid, protocol, exchange);
    return await routing.route(passed, () => hostOf(uuid), here, there);
  }

  /** Ends all of them, since virtxd stops. */
  [Symbol.dispose](): void {
    this.#ended = true;
    for (const relay of this.#open) {
      relay.end({ code: GOING_AWAY, reason: "virtxd is stopping on this host" });
    }
  }

  /** Has another host open it. */
  async #pass(
    host: string,
    uuid: string,
    protocol: string | undefined,
    exchange: Exchange,
  ): Promise<Response | PassedAnswer> {
    const answer = await this.#o.passing.connect(host, exchange, CONSOLE_PROTOCOL);
    if (!("socket" in answer)) return answer;
    const line = new RemoteConsole(answer.socket);
    const ended = line.ended.then(({ code, reason }) =>
      // Codes below 1000 and these few are not for sending (RFC 6455 §7.4.1).
      code === BROKEN || code === 1005
        ? { code: CONSOLE_CLOSE.lost, reason: `The connection to host "${answer.host}" broke off: ${reason}` }
        : { code, reason }
    );
    return this.#connect(lineOf(line, ended), uuid, protocol, exchange);
  }

  #connect(line: ConsoleLine, vm: string, protocol: string | undefined, exchange: Exchange): Response {
    const { log, clock } = this.#o;
    const client = exchange.connection.client(); // cannot be asked for when the request has become a WebSocket
    try {
      const { socket, response } = Deno.upgradeWebSocket(exchange.request, {
        idleTimeout: IDLE_S,
        ...(protocol !== undefined && { protocol }),
      });
      const { held } = exchange.connection;
      const relay = new ConsoleRelay(socket, line, log.with({ request: exchange.id, vm }), held);
      held?.busyUntil(relay.done);
      this.#open.add(relay);
      const { id: request, passedTo } = exchange;
      const openedAt = clock();
      const told = relay.done.then((traffic) => {
        this.#open.delete(relay);
        log.info("console ended", { request, vm, client, passedTo, ...traffic, ms: clock() - openedAt });
      });
      inBackground(told);
      return response;
    } catch (error) {
      line.close();
      throw error;
    }
  }
}

/** The same line, whose end is told as that. */
function lineOf(line: Omit<ConsoleLine, "ended">, ended: ConsoleLine["ended"]): ConsoleLine {
  return {
    read: () => line.read(),
    write: (bytes) => line.write(bytes),
    close: () => line.close(),
    ended,
  };
}

/**
 * The sub-protocol that the answer names; undefined: none was asked for.
 * @throws HttpError, if this is no request for a WebSocket that the runtime can serve
 */
function requestedProtocol({ method, headers }: Request): string | undefined {
  const isAsked = method === "GET" && tokens(headers.get("connection")).includes("upgrade") &&
    tokens(headers.get("upgrade")).includes("websocket");
  if (!isAsked) {
    throw new HttpError("upgrade_required", "A console is a WebSocket: the request has to ask for one");
  }
  if (headers.get("sec-websocket-version") !== "13" || headers.get("sec-websocket-key") === null) {
    throw new HttpError("upgrade_required", "The request has no key for a WebSocket of version 13");
  }
  const offered = headers.get("sec-websocket-protocol");
  if (offered === null) return undefined;
  if (tokens(offered).includes(CONSOLE_PROTOCOL)) return CONSOLE_PROTOCOL;
  const message = `must name ${CONSOLE_PROTOCOL}, or be left out`;
  throw new VirtxError("invalid", "The request offers no sub-protocol that a console has", {
    issues: [{ field: "Sec-WebSocket-Protocol", message }],
  });
}

function tokens(header: string | null): string[] {
  return (header ?? "").split(",").map((token) => token.trim().toLowerCase());
}
