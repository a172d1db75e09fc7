import { VirtxError } from "../model/error.ts";
import type { Exchange } from "./exchange.ts";
import { HOST_HEADER, LOOP_HEADER, type PassedAnswer, type PassedRequest, type Passing } from "./passing.ts";
import { problemResponse } from "./problem.ts";
import { respond, respondEmpty } from "./respond.ts";
import { unlessUnsure, type Unsure } from "./unsure.ts";

/** Statuses that say that a request came to the wrong host, where nothing was done. */
const MISDIRECTED = [404, 508];

/** Has each request answered by the host that it is for: this one, or another that it is passed on to. */
export class Routing {
  readonly #hostUuid: string;
  readonly #passing: Passing;
  readonly #unsure: Unsure;

  constructor(o: { readonly hostUuid: string; readonly passing: Passing; readonly unsure: Unsure }) {
    this.#hostUuid = o.hostUuid;
    this.#passing = o.passing;
    this.#unsure = o.unsure;
  }

  /**
   * Answers a request.
   * @param find the host that the request is for, as far as is known now; empty or undefined: this one
   * @param here answers it on this host
   * @param there has another host answer it
   * @throws VirtxError unavailable, unreachable, timeout
   */
  async route(
    request: PassedRequest,
    find: () => string | undefined,
    here: () => Response | Promise<Response>,
    there: (host: string) => Promise<PassedAnswer | Response> = (host) => this.#send(host, request),
  ): Promise<Response> {
    const { exchange } = request;
    const host = find();
    if (host === undefined) return await this.#hereIfAnywhere(here);
    if (this.#isHere(host)) return await this.#hereUnlessMoved(request, find, here, there);
    if (exchange.request.headers.has(LOOP_HEADER)) {
      return await this.#hasCome(host, find) ? await here() : refuseLoop(host, exchange);
    }
    const answer = await there(host);
    if (!MISDIRECTED.includes(answer.status)) return toResponse(answer);
    // A VM may have moved just now: who was asked may know where to, and this host may have heard of it meanwhile.
    const next = answer.headers.get(HOST_HEADER) ?? find();
    if (next === host) return toResponse(answer);
    if (this.#isHere(next)) return await this.#hasCome(host, find) ? await here() : toResponse(answer);
    return toResponse(await there(next));
  }

  /**
   * Whether a request that is for another host, as far as this one knows, is for this one. Of a VM that has just come from there
   * others may know it, while that host's word has not arrived here.
   */
  async #hasCome(from: string, find: () => string | undefined): Promise<boolean> {
    if (this.#isHere(find())) return true;
    await this.#passing.seeChangeAt(from);
    const host = find();
    return host !== undefined && this.#isHere(host);
  }

  /**
   * Answers a request here. A VM may have moved while the request waited for its migration to end: then nothing was done, and it
   * is for the host that has the VM now.
   */
  async #hereUnlessMoved(
    { exchange }: PassedRequest,
    find: () => string | undefined,
    here: () => Response | Promise<Response>,
    there: (host: string) => Promise<PassedAnswer | Response>,
  ): Promise<Response> {
    try {
      return await here();
    } catch (error) {
      const next = error instanceof VirtxError && error.kind === "not_found" ? find() : undefined;
      if (this.#isHere(next)) throw error;
      exchange.tracked = undefined; // what failed here is not the operation that is answered
      if (exchange.request.headers.has(LOOP_HEADER)) return refuseLoop(next, exchange);
      return toResponse(await there(next));
    }
  }

  /** That something is nowhere is said only if that can be known. */
  async #hereIfAnywhere(here: () => Response | Promise<Response>): Promise<Response> {
    try {
      return await here();
    } catch (error) {
      throw unlessUnsure(error, this.#unsure);
    }
  }

  /** What was changed there is seen here before that is answered. */
  async #send(host: string, request: PassedRequest): Promise<PassedAnswer> {
    const answer = await this.#passing.send(host, request);
    if (answer.status >= 300) return answer;
    const other = answer.headers.get(HOST_HEADER); // where the VM has gone
    const changed = new Set([
      ...request.exchange.readsOnly && other === null ? [] : [host],
      ...other === null ? [] : [other],
    ]);
    await Promise.all(Array.from(changed, (uuid) => this.#passing.seeChangeAt(uuid)));
    return answer;
  }

  #isHere(host: string | undefined): host is "" | undefined {
    return host === undefined || host === "" || host === this.#hostUuid;
  }
}

/** 508, with the host that the request is for, so that who passed it on can do better. */
function refuseLoop(host: string, exchange: Exchange): Response {
  const why = `Cannot serve a request that was passed on to this host: it is for host ${host}`;
  exchange.failure = new VirtxError("loop", why);
  const response = problemResponse(exchange.failure, exchange.id);
  response.headers.set(HOST_HEADER, host);
  return response;
}

function toResponse(answer: PassedAnswer | Response): Response {
  if (answer instanceof Response) return answer;
  const { status, headers, bytes } = answer;
  const response = bytes.byteLength === 0
    ? respondEmpty(status)
    : respond(status, bytes, headers.get("content-type") ?? "");
  headers.delete("content-type");
  headers.delete(HOST_HEADER);
  for (const [name, value] of headers) response.headers.set(name, value);
  return response;
}
