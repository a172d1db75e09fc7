import { VirtxError } from "../model/error.ts";
import type { Connection } from "./exchange.ts";

/** localhost in its spellings, and any IP address, without or with a port: names that nobody else's DNS can point here. */
const UNFORGEABLE = /^(localhost|[\w-]+\.localhost|[0-9.]+|\[[0-9a-f:.]+\])(:\d+)?$/i;

/** Whether a request changes nothing: its method is safe (RFC 9110 §9.2.1), and it does not ask for a WebSocket. */
export function isSafe({ method, headers }: Request): boolean {
  return method === "HEAD" || method === "OPTIONS" || (method === "GET" && !headers.has("upgrade"));
}

/**
 * Keeps web pages of others from using the API through the browser of somebody who can reach it. Programs send none of the
 * headers that it looks at, so they hardly notice.
 *
 * - A page elsewhere may not change anything, nor have a WebSocket, whose answers browsers would not keep from it: browsers tell of it by `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (RFC 6454
 *   §7). What it reads they keep from it themselves, since no answer permits other origins.
 * - A page whose name was rebound to our address is same-origin to the browser, so its name is looked at: on a loopback
 *   listener the `Host` must be one that only this machine has, elsewhere this is asked of changes with an `Origin`.
 * - Forms can only send bodies that the API refuses with 415.
 */
export class BrowserGuard {
  readonly #ownNames: () => Iterable<string>;

  /** @param ownNames host names, without port, that are known to lead to this cluster */
  constructor(ownNames: () => Iterable<string>) {
    this.#ownNames = ownNames;
  }

  /** @throws VirtxError denied */
  check(request: Request, connection: Connection): void {
    if (connection.loopback) this.#checkHost(request);
    if (isSafe(request)) return;
    const site = request.headers.get("sec-fetch-site");
    if (site !== null && site !== "same-origin" && site !== "none") {
      throw denied(`it comes from a page of another site (Sec-Fetch-Site: ${site})`);
    }
    const origin = request.headers.get("origin");
    if (origin === null) return;
    const host = hostOf(request);
    if (origin !== `http://${host}` && origin !== `https://${host}`) {
      throw denied(`it comes from a page of another site (Origin: ${origin})`);
    }
    this.#checkHost(request);
  }

  #checkHost(request: Request): void {
    const host = hostOf(request);
    if (UNFORGEABLE.test(host)) return;
    const name = host.replace(/:\d+$/, "").toLowerCase();
    for (const own of this.#ownNames()) if (own.toLowerCase() === name) return;
    throw denied(`"${host}" is not known as a name of this host`);
  }
}

/** What the client called us: the URL's authority, which servers take from the request's `Host` (RFC 9110 §7.1). */
function hostOf({ url }: Request): string {
  const start = url.indexOf("//") + 2;
  const end = url.indexOf("/", start);
  return end < 0 ? url.slice(start) : url.slice(start, end);
}

function denied(why: string): VirtxError {
  return new VirtxError("denied", `The request is not permitted: ${why.slice(0, 200)}`);
}
