import { type OriginState, parseVector, type Vector, type Want } from "../cluster/exchange.ts";
import type { Peer, PeerPort } from "../cluster/ports.ts";
import { VirtxError } from "../model/error.ts";
import { readError } from "./answer_error.ts";
import { JSON_TYPE } from "./respond.ts";
import { StateReader } from "./state_lines.ts";
import type { Transport } from "./transport.ts";

/** Where hosts ask each other for what they know; see cluster_operations.ts. */
export const VECTOR_PATH = "/cluster/vector";
export const STATES_PATH = "/cluster/states";
/** Any answer is one: the prototype has no such path. */
const PROBE_PATH = "/healthz";

/** Unless the caller's signal says so before. */
const TIMEOUT_MS = 30_000;
/** The longest answer that is taken, in bytes; 100,000 VMs are about 30 MB. */
const ANSWER_MAX_BYTES = 128 * 1024 * 1024;
const PROBE_MAX_BYTES = 64 * 1024;
const VECTOR_MAX_BYTES = 4 * 1024 * 1024;

/** The URL of a path of a peer's API. */
export function peerUrl({ address, port }: Peer, path: string): string {
  return `http://${address.includes(":") ? `[${address}]` : address}:${port}${path}`;
}

/** Asks other hosts over HTTP. */
export class HttpPeers implements PeerPort {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async vector(peer: Peer, known: string, signal: AbortSignal): Promise<Vector | undefined> {
    const path = `${VECTOR_PATH}?known=${known}`;
    return await this.#ask(peer, { method: "GET", path, signal }, async (response) => {
      if (response.status === 204) return undefined;
      let text = "";
      await readText(response, VECTOR_MAX_BYTES, (part) => text += part);
      return parseVector(parseJson(text));
    });
  }

  async states(peer: Peer, wants: readonly Want[], signal: AbortSignal): Promise<readonly OriginState[]> {
    const body = JSON.stringify(wants);
    return await this.#ask(peer, { method: "POST", path: STATES_PATH, body, signal }, async (response) => {
      const reader = new StateReader();
      await readText(response, ANSWER_MAX_BYTES, (part) => reader.take(part));
      return reader.finish();
    });
  }

  async probe(peer: Peer, signal: AbortSignal): Promise<void> {
    await this.#transport.exchange({
      method: "GET",
      url: peerUrl(peer, PROBE_PATH),
      headers: new Headers(),
      timeoutMs: TIMEOUT_MS,
      signal,
      what: `Cannot ask host "${peer.name}" (${peer.address}) whether it is there`,
    }, async (response) => {
      await readText(response, PROBE_MAX_BYTES, () => {});
    });
  }

  async #ask<T>(
    peer: Peer,
    { method, path, body, signal }: { method: string; path: string; body?: string; signal: AbortSignal },
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const outgoing = {
      method,
      url: peerUrl(peer, path),
      headers: new Headers(body === undefined ? {} : { "content-type": JSON_TYPE }),
      body,
      timeoutMs: TIMEOUT_MS,
      signal,
      what: `Cannot ask host "${peer.name}" (${peer.address}) for ${path}`,
    };
    return await this.#transport.exchange(outgoing, async (response) => {
      if (!response.ok) throw await readError(response);
      return await read(response);
    });
  }
}

/** Hands on a body as it comes, a network buffer at a time, so that other work gets its turn in between. */
async function readText(
  { body }: Response,
  maxBytes: number,
  take: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw new VirtxError("invalid", `The answer is longer than ${maxBytes} bytes`);
    take(decoder.decode(chunk, { stream: true }));
  }
  take(decoder.decode());
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new VirtxError("invalid", "The answer is not JSON", { cause });
  }
}
