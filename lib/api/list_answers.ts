import type { Page } from "../cluster/search.ts";
import type { Clock } from "../model/clock.ts";
import { JSON_TYPE, respond, respondEmpty } from "./respond.ts";

/** Whole bodies that are kept, and how large they may be together, in bytes. */
const BODIES_MAX = 8;
const BODIES_MAX_BYTES = 8 * 1024 * 1024;
/** How long a body is good that only {@link ListSource.seal} could change. */
const BODY_MS = 5_000;
/** The longest query that a body is kept for. */
const QUERY_MAX = 256;

/** A list: its version, a page of it, and how one of its entries is written. */
export interface ListSource<Query, Entry extends object> {
  /** The path of the list, for the link to the next page. */
  readonly path: string;
  /** Grows whenever an answer may change. */
  readonly version: () => number;
  readonly search: (query: Query) => Page<Entry>;
  /** An item's JSON, up to what {@link seal} adds. */
  readonly render: (entry: Entry, query: Query) => string;
  /** Adds what changes without a new version, and so may be some seconds late. */
  readonly seal: (item: string, entry: Entry) => string;
  /** Whether the query changes how items look. Otherwise an item's JSON is kept for as long as its entry lives. */
  readonly isSpecial?: (query: Query) => boolean;
}

interface Body {
  readonly version: number;
  readonly madeMs: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly next: string | undefined;
}

/**
 * The answers of a list operation: entity tags, pages, and bodies at little cost. Since the inventory replaces entries
 * rather than changing them, an entry's JSON is made once, and as long as nothing changes, so is the whole body.
 */
export class ListAnswers<Query, Entry extends object> {
  readonly #source: ListSource<Query, Entry>;
  readonly #clock: Clock;
  readonly #rendered = new WeakMap<Entry, string>();
  /** By query string, the least recently used first. */
  readonly #bodies = new Map<string, Body>();
  /** Versions begin anew with each process, its entity tags must not. */
  readonly #epoch = crypto.randomUUID().slice(0, 8);

  constructor(source: ListSource<Query, Entry>, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** The page that a checked query selects; 304 if the client has it already (RFC 9110 §13.1.2). */
  answer(request: Request, query: Query): Response {
    const version = this.#source.version();
    // Weak (RFC 9110 §8.8.3): what is sealed in may differ, and says how fresh the rest is.
    const etag = `W/"${this.#epoch}-${version.toString(36)}"`;
    const response = matches(request.headers.get("if-none-match"), etag)
      ? respondEmpty(304)
      : this.#respond(request.url, query, version);
    response.headers.set("etag", etag);
    response.headers.set("cache-control", "no-cache");
    return response;
  }

  #respond(url: string, query: Query, version: number): Response {
    const mark = url.indexOf("?");
    const text = mark < 0 ? "" : url.slice(mark + 1);
    const { bytes, next } = this.#body(text, query, version);
    const response = respond(200, bytes, JSON_TYPE);
    if (next !== undefined) {
      const parameters = new URLSearchParams(text);
      parameters.set("cursor", next);
      response.headers.set("link", `<${this.#source.path}?${parameters}>; rel="next"`);
    }
    return response;
  }

  #body(key: string, query: Query, version: number): Body {
    const kept = this.#bodies.get(key);
    const now = this.#clock();
    if (kept?.version === version && Math.abs(now - kept.madeMs) < BODY_MS) {
      this.#bodies.delete(key);
      this.#bodies.set(key, kept);
      return kept;
    }
    const { seal } = this.#source;
    const { items, next } = this.#source.search(query);
    const end = next === undefined ? "]}" : `],"next":${JSON.stringify(next)}}`;
    const render = this.#source.isSpecial?.(query) ? this.#source.render : this.#renderOnce;
    const json = '{"items":[' + items.map((entry) => seal(render(entry, query), entry)).join(",") + end;
    const body = { version, madeMs: now, bytes: new TextEncoder().encode(json), next };
    this.#keep(key, body);
    return body;
  }

  readonly #renderOnce = (entry: Entry, query: Query): string => {
    const known = this.#rendered.get(entry);
    if (known !== undefined) return known;
    const json = this.#source.render(entry, query);
    this.#rendered.set(entry, json);
    return json;
  };

  /** Drops bodies of older versions, then the least recently used. */
  #keep(key: string, body: Body): void {
    let bytes = body.bytes.byteLength;
    for (const [other, { version, bytes: theirs }] of this.#bodies) {
      if (version === body.version) bytes += theirs.byteLength;
      else this.#bodies.delete(other);
    }
    if (key.length > QUERY_MAX || body.bytes.byteLength > BODIES_MAX_BYTES) return;
    for (const [oldest, { bytes: theirs }] of this.#bodies) {
      if (this.#bodies.size < BODIES_MAX && bytes <= BODIES_MAX_BYTES) break;
      this.#bodies.delete(oldest);
      bytes -= theirs.byteLength;
    }
    this.#bodies.set(key, body);
  }
}

/** Whether If-None-Match names the tag, by weak comparison (RFC 9110 §8.8.3.2). */
function matches(header: string | null, etag: string): boolean {
  if (header === null) return false;
  return header.split(",").some((tag) => {
    const bare = tag.trim();
    return bare === "*" || bare === etag || `W/${bare}` === etag;
  });
}
