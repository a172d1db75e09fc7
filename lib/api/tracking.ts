import { createHash } from "node:crypto";
import { v4 as newUuid } from "uuid";
import { hostOfOperation, newOperationId } from "../vm/operation_id.ts";
import type { OperationRun, Operations } from "../vm/operations.ts";
import type { Exchange } from "./exchange.ts";
import { LOOP_HEADER, OPERATION_HEADER } from "./passing.ts";
import { readIdempotencyKey, readPreference } from "./preferences.ts";
import { respondJson } from "./respond.ts";
import { toOperationJson } from "./schema_operation.ts";

/** The part of a checked request that its operation is made from. */
export interface TrackedRequest {
  /** The UUID in the path; empty: a VM is to be created. */
  readonly uuid: string;
  readonly exchange: Exchange;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A change, and what is answered when it is done. */
export interface Change<Result> {
  /** Carries it out; resolves with plain JSON data. */
  run(vm: string): Promise<Result>;
  answer(result: Result): Response;
}

/**
 * Makes an operation of each change that is asked for: with an id by which it can be looked up, carried out once for each
 * Idempotency-Key, and answered before it is done if the client prefers that.
 */
export class Tracking {
  readonly #operations: Operations;
  readonly #hostUuid: string;

  constructor(o: { readonly operations: Operations; readonly hostUuid: string }) {
    this.#operations = o.operations;
    this.#hostUuid = o.hostUuid;
  }

  /** @throws what the change throws, now or at the first time */
  async answer<Result>(request: TrackedRequest, change: Change<Result>): Promise<Response> {
    const { exchange } = request;
    const { headers } = exchange.request;
    const preference = readPreference(headers);
    const key = readIdempotencyKey(headers);
    const vm = request.uuid === "" ? newUuid() : request.uuid;
    const run = this.#operations.run({
      id: this.#idFor(headers),
      op: exchange.operation ?? "",
      vm,
      ...(key !== undefined && { key, fingerprint: fingerprintOf(request) }),
    }, () => change.run(vm));
    exchange.tracked = run.operation.id;
    if (preference.respondAsync && !await settlesWithin(run.done, preference.waitMs)) {
      return this.#accepted(run);
    }
    return change.answer(await run.done);
  }

  /** The id that the host chose that passed the request on, so that it knows it even if the answer does not reach it. */
  #idFor(headers: Headers): string {
    const given = headers.has(LOOP_HEADER) ? headers.get(OPERATION_HEADER) : null;
    const isOurs = given !== null && hostOfOperation(given, [this.#hostUuid]) !== undefined;
    return isOurs && this.#operations.get(given) === undefined ? given : newOperationId(this.#hostUuid);
  }

  #accepted({ operation }: OperationRun<unknown>): Response {
    const now = this.#operations.get(operation.id) ?? operation;
    const response = respondJson(202, toOperationJson(now));
    response.headers.set("location", `/operations/${operation.id}`);
    response.headers.set("preference-applied", "respond-async");
    return response;
  }
}

/** Equal for equal requests: method, path, query, and the body byte for byte. */
function fingerprintOf({ exchange: { request }, bytes }: TrackedRequest): string {
  const { pathname, search } = new URL(request.url);
  return createHash("sha256").update(`${request.method} ${pathname}${search}\n`).update(bytes).digest("hex");
}

async function settlesWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  if (ms === 0) return false;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, ms, false);
  try {
    return await Promise.race([work.then(() => true, () => true), promise]);
  } finally {
    clearTimeout(timer);
  }
}
