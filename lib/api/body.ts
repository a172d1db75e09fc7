import { type FieldIssue, VirtxError } from "../model/error.ts";
import { BODY_MAX_BYTES } from "../model/limits.ts";
import { BodyBudget } from "./body_budget.ts";
import { HttpError } from "./problem.ts";
import { GrowingBytes } from "./read_bytes.ts";

/** application/json with any parameters; a browser form cannot send it without asking first (WHATWG Fetch, CORS). */
const JSON_CONTENT = /^application\/json *(;|$)/i;

/** How long a body may stand still, and how long it may take altogether. */
const STALL_MS = 10_000;
const TOTAL_MS = 30_000;

/** A request's body. */
export interface ReceivedBody {
  /** As it came. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What it says; undefined: nothing. */
  readonly value: unknown;
}

/** Of a request without one. */
export const NO_BODY: ReceivedBody = Object.freeze({ bytes: new Uint8Array(), value: undefined });

export interface BodyOptions {
  readonly budget?: BodyBudget;
  /** For how long a body may stand still. */
  readonly stallMs?: number;
  /** How long it may take until it is all there. */
  readonly totalMs?: number;
}

/** Reads the bodies of requests: never more than there is memory for, and for no longer than a client that means it takes. */
export class BodyReader {
  readonly #budget: BodyBudget;
  readonly #stallMs: number;
  readonly #totalMs: number;

  constructor(o: BodyOptions = {}) {
    this.#budget = o.budget ?? new BodyBudget();
    this.#stallMs = o.stallMs ?? STALL_MS;
    this.#totalMs = o.totalMs ?? TOTAL_MS;
  }

  /**
   * Reads a request's JSON body to its end. No body, and the `null` that the prototype's client sends where there is
   * nothing to say, both say nothing.
   *
   * @throws HttpError not_json, body_too_large, body_too_slow, body_incomplete; VirtxError invalid for what is not UTF-8 or
   * not JSON, unavailable if there is no memory for it now.
   */
  async json(request: Request): Promise<ReceivedBody> {
    const declared = Number(request.headers.get("content-length") ?? 0);
    if (declared > BODY_MAX_BYTES) throw tooLarge();
    if (request.body === null) return NO_BODY;
    const bytes = await this.#read(request.body);
    if (bytes.byteLength === 0) return NO_BODY;
    const type = request.headers.get("content-type") ?? "";
    if (!JSON_CONTENT.test(type)) {
      throw new HttpError(
        "not_json",
        `A body must be application/json, not ${type === "" ? "without a type" : `"${type}"`}`,
      );
    }
    return { bytes, value: parseJson(bytes) ?? undefined };
  }

  async #read(body: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<Uint8Array<ArrayBuffer>> {
    const reader = body.getReader();
    let failure: Error | undefined;
    /** What is being waited for ends by it, as if the body did. */
    const giveUp = (reason: Error) => {
      failure ??= reason;
      reader.cancel().catch(() => {}); // the client may have gone away meanwhile
    };
    using share = this.#budget.share(giveUp);
    using progress = new Progress(this.#stallMs, this.#totalMs, () => giveUp(tooSlow()));
    const bytes = new GrowingBytes((more) => share.grow(more));
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (failure !== undefined) throw failure;
        if (done) return bytes.all;
        progress.seen();
        if (bytes.length + value.byteLength > BODY_MAX_BYTES) throw tooLarge();
        bytes.append(value);
      }
    } catch (error) {
      if (failure !== undefined) throw failure;
      giveUp(tooLarge()); // whatever it is, the rest is not read
      if (error instanceof HttpError || error instanceof VirtxError) throw error;
      throw new HttpError("body_incomplete", "The client hung up before its request's body was complete");
    }
  }
}

/** Calls back when there has been no progress for a time, or no end. */
class Progress implements Disposable {
  readonly #startMs = performance.now();
  #seenMs = this.#startMs;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(stallMs: number, totalMs: number, tooSlow: () => void) {
    const look = () => {
      const now = performance.now();
      const left = Math.min(this.#seenMs + stallMs, this.#startMs + totalMs) - now;
      if (left > 0) this.#timer = setTimeout(look, left);
      else tooSlow();
    };
    this.#timer = setTimeout(look, Math.min(stallMs, totalMs));
  }

  seen(): void {
    this.#seenMs = performance.now();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? cause.message : "it is not UTF-8";
    throw invalidRequest([{ field: "", message: `is not JSON: ${reason}` }], cause);
  }
}

/** The error for a request that breaks these rules. */
export function invalidRequest(issues: readonly FieldIssue[], cause?: unknown): VirtxError {
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  const what = first === undefined
    ? ""
    : `: ${first.field === "" ? "the body" : first.field} ${first.message}${more}`;
  return new VirtxError("invalid", `The request is not valid${what}`, { issues, cause });
}

function tooLarge(): HttpError {
  return new HttpError("body_too_large", `A request body may have at most ${BODY_MAX_BYTES} bytes`);
}

function tooSlow(): HttpError {
  return new HttpError("body_too_slow", "The request's body did not arrive in time");
}
