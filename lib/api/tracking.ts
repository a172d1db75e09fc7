import { createHash } from "node:crypto";
import { v4 as newUuid } from "uuid";
import { VirtxError } from "../model/error.ts";
import { within } from "../model/within.ts";
import { ALWAYS_RESPONSIVE, type Responsive } from "../posix/files.ts";
import { hostOfId, newIdOfHost } from "../model/host_id.ts";
import type { OperationControl } from "../vm/operation_course.ts";
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
  run(vm: string, control: OperationControl): Promise<Result>;
  answer(result: Result): Response;
  /**
   * It reads and writes shared storage: while that hangs, it is not begun, and who waits for it is told that it goes on.
   */
  readonly needsStorage?: boolean;
  /** What is answered as soon as it is known to go on, by a change that need not be waited for. */
  answerBegun?(): Response;
}

/**
 * Makes an operation of each change that is asked for: with an id by which it can be looked up, carried out once for each
 * Idempotency-Key, and answered before it is done if the client prefers that.
 */
export class Tracking {
  readonly #operations: Operations;
  readonly #hostUuid: string;
  readonly #storage: Responsive;

  constructor(
    o: {
      readonly operations: Operations;
      readonly hostUuid: string;
      readonly storage?: Responsive | undefined;
    },
  ) {
    this.#storage = o.storage ?? ALWAYS_RESPONSIVE;
    this.#operations = o.operations;
    this.#hostUuid = o.hostUuid;
  }

  /** @throws what the change throws, now or at the first time */
  async answer<Result>(request: TrackedRequest, change: Change<Result>): Promise<Response> {
    const { exchange } = request;
    const { headers } = exchange.request;
    const op = exchange.operation ?? "";
    const refusal = change.needsStorage ? this.#storage.refusal() : undefined;
    if (refusal) throw VirtxError.wrap(refusal, `Cannot carry ${op} out`);
    const { respondAsync, waitMs } = readPreference(headers);
    const key = readIdempotencyKey(headers);
    const vm = request.uuid === "" ? newUuid() : request.uuid;
    const run = this.#operations.run({
      id: this.#idFor(headers),
      op,
      vm,
      ...(key !== undefined && { key, fingerprint: fingerprintOf(request) }),
    }, (control) => change.run(vm, control));
    exchange.tracked = run.operation.id;
    const answer = answerOf(run, change);
    const settled = answer.then(() => {}, () => {}); // it can be looked up by who does not wait
    if (respondAsync && !(waitMs > 0 && await within(waitMs, settled))) return this.#accepted(run);
    if (!change.needsStorage) return await answer;
    return await this.#storage.whileAnswering(
      answer,
      (reason) => `${op} is not done yet: ${reason}; operation ${run.operation.id} goes on when it does`,
    );
  }

  /** The id that the host chose that passed the request on, so that it knows it even if the answer does not reach it. */
  #idFor(headers: Headers): string {
    const given = headers.has(LOOP_HEADER) ? headers.get(OPERATION_HEADER) : null;
    const isOurs = given !== null && hostOfId(given, [this.#hostUuid]) !== undefined;
    return isOurs && this.#operations.get(given) === undefined ? given : newIdOfHost(this.#hostUuid);
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

async function answerOf<Result>(
  { done, goesOn }: OperationRun<Result>,
  change: Change<Result>,
): Promise<Response> {
  if (change.answerBegun && goesOn) {
    const isBegun = await Promise.race([done.then(() => false), goesOn.then(() => true)]);
    if (isBegun) return change.answerBegun();
  }
  return change.answer(await done);
}
