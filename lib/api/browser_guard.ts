import { VirtxError } from "../model/error.ts";
import type { Connection } from "./exchange.ts";

/** localhost in its spellings, and any IP address: names that nobody else's DNS can point here. */
const UNFORGEABLE = /^(localhost|[\w-]+\.localhost|[0-9.]+|\[[0-9a-f:.]+\])$/i;

/**
 * Keeps web pages of others from using the API through the browser of somebody who can reach it. Programs send none of the
 * headers that it looks at, so they never notice.
 *
 * - A page elsewhere: browsers say so by `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (RFC 6454 §7).
 * - A page whose name was rebound to our address is same-origin to the browser, so its name is looked at: on a loopback
 *   listener the `Host` must be one that only this machine has, elsewhere this is asked of requests with an `Origin`.
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
    const { headers } = request;
    const site = headers.get("sec-fetch-site");
    if (site !== null && site !== "same-origin" && site !== "none" && !isNavigation(request)) {
      throw denied(`it comes from a page of another site (Sec-Fetch-Site: ${site})`);
    }
    const origin = headers.get("origin");
    if (origin === null && !connection.loopback) return;
    const host = headers.get("host") ?? new URL(request.url).host;
    if (origin !== null && origin !== `http://${host}` && origin !== `https://${host}`) {
      throw denied(`it comes from a page of another site (Origin: ${origin})`);
    }
    if (!this.#isOurs(host)) throw denied(`"${host}" is not known as a name of this host`);
  }

  #isOurs(host: string): boolean {
    const name = host.replace(/:\d+$/, "").toLowerCase();
    if (UNFORGEABLE.test(name)) return true;
    for (const own of this.#ownNames()) if (own.toLowerCase() === name) return true;
    return false;
  }
}

/** Following a link to us is harmless: it changes nothing and the other page does not see the answer. */
function isNavigation(request: Request): boolean {
  return request.method === "GET" && request.headers.get("sec-fetch-mode") === "navigate" &&
    request.headers.get("sec-fetch-dest") === "document";
}

function denied(why: string): VirtxError {
  return new VirtxError("denied", `The request is not permitted: ${why.slice(0, 200)}`);
}
