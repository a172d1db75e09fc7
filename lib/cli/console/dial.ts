import { toError } from "../../api/answer_error.ts";
import { RemoteConsole } from "../../api/console_line.ts";
import { CONSOLE_PROTOCOL, consolePath } from "../../api/console_protocol.ts";
import { type ServerAddress, WebSocketClient } from "../../api/websocket_client.ts";
import { VirtxError } from "../../model/error.ts";

/** How long a server may take to open a console, that of another host included. */
const TIMEOUT_MS = 30_000;

export interface DialOptions {
  /** As parseEndpoint makes them, in the order in which they are to be tried. */
  readonly endpoints: readonly string[];
  readonly uuid: string;
  readonly force: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Opens a VM's console by the first server that answers.
 * @throws VirtxError what the server says; unreachable, if none of them answers
 */
export async function dial(o: DialOptions): Promise<RemoteConsole> {
  const { endpoints, uuid, signal } = o;
  let failure: unknown;
  for (const endpoint of endpoints) {
    const { to, authority } = addressOf(endpoint);
    try {
      const answer = await WebSocketClient.open({
        to,
        authority,
        path: consolePath(uuid, o),
        protocol: CONSOLE_PROTOCOL,
        headers: new Headers(o.headers),
        timeoutMs: TIMEOUT_MS,
        signal,
        what: `Cannot open a console at ${endpoint}`,
      });
      if (answer instanceof WebSocketClient) return new RemoteConsole(answer);
      throw toError(answer, await answer.text());
    } catch (error) {
      // What a server answers is the word of all: see console_desk.ts, which asks the VM's host.
      const isAway = error instanceof VirtxError && error.constructor === VirtxError &&
        error.kind === "unreachable";
      if (!isAway) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

function addressOf(endpoint: string): { readonly to: ServerAddress; readonly authority: string } {
  if (endpoint.startsWith("unix:")) {
    return { to: { path: endpoint.slice("unix:".length) }, authority: "localhost" };
  }
  const { protocol, hostname, port, host } = new URL(endpoint);
  if (protocol !== "http:") {
    throw new VirtxError(
      "unimplemented",
      `Cannot open a console at ${endpoint}: consoles go over http and unix sockets only`,
    );
  }
  return { to: { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 80) }, authority: host };
}
