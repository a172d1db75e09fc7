import type { Reply } from "../../api/client.ts";
import type { Context } from "../context.ts";
import type { Input } from "../input.ts";
import type { Named } from "../resolve.ts";
import type { Cluster } from "../server/cluster.ts";
import type { Attendance } from "./attendance.ts";
import type { Afterwards } from "./attended.ts";
import type { Outcome } from "./outcome.ts";

/** On an answer: the id of the operation. */
const OPERATION_HEADER = "x-virtx-operation";
/** On an answer: until when what was deleted can be restored, UTC milliseconds. */
const TRASH_HEADER = "x-virtx-trash-until";
/** A change that is done within a second is answered when it is done, which spares a question. */
const PREFER_SOON = "respond-async, wait=1";

/** A change of one VM. */
export interface Change {
  readonly vm: Named;
  /** "Starting web1". */
  readonly title: string;
  readonly method: "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** The definition that it is meant for, as its ETag: of another it is refused (`stale`). */
  readonly ifMatch?: string | undefined;
  /** What is said when it is done, from what the operation brought, if that is known, and the warning of the answer, if any. */
  readonly done: (result: unknown, warning: string) => string;
  /** What is said if it is not waited for: "starting". */
  readonly begun: string;
  /** What has to come true behind the operation's end. */
  readonly after?: {
    readonly until: (signal: AbortSignal) => Promise<void>;
    /** What is to be said if that is not waited for; undefined: the change is done by then, and it only has to be seen. */
    readonly words: Afterwards | undefined;
  };
}

/** How changes are carried out. */
export interface Manner {
  readonly context: Context;
  readonly cluster: Cluster;
  readonly attendance: Attendance;
  /** Whether to return when it has begun. */
  readonly leave: boolean;
}

/** Whether the user does not want to wait. */
export function leaves(input: Input): boolean {
  return input.flag("no-wait") && !input.flag("wait");
}

/**
 * Asks for a change and, unless told otherwise, waits until it is done.
 * @throws VirtxError why it was not done; Unattended
 */
export async function carryOut(
  change: Change,
  { context, cluster, attendance, leave }: Manner,
): Promise<Outcome> {
  const { vm, title, method, path, body = null, ifMatch, after } = change;
  return await attendance.attend(title, async (attended) => {
    // Not even Ctrl-C cuts the answer off at once: it comes within moments, and has the id by which to cancel.
    context.signal.throwIfAborted();
    attended.stage = { kind: "asked" };
    const reply = await cluster.change(method, path, body, {
      headers: {
        prefer: leave ? "respond-async" : PREFER_SOON,
        ...(ifMatch !== undefined && { "if-match": ifMatch }),
      },
      signal: attendance.cutOff,
    });
    const operation = reply.headers.get(OPERATION_HEADER) ?? undefined;
    attended.stage = operation === undefined ? { kind: "waiting" } : { kind: "operation", id: operation };
    if (leave) return { vm, said: change.begun, operation, state: "running" };
    const ended = reply.status === 202 && operation !== undefined
      ? (await attendance.end(operation, attended)).result
      : resultOf(reply);
    const outcome = {
      vm,
      said: change.done(ended, warningIn(reply)),
      operation,
      state: "completed",
    } as const;
    if (after === undefined) return outcome;
    attended.stage = { kind: "afterwards", words: after.words };
    try {
      attended.givenUp.signal.throwIfAborted();
      await after.until(AbortSignal.any([context.signal, attended.givenUp.signal]));
    } catch (error) {
      if (after.words !== undefined || !isUnwaited(error, context.signal, attended.givenUp.signal)) {
        throw error;
      }
    }
    return outcome;
  });
}

/** Whether one of these signals has ended a wait. */
function isUnwaited(error: unknown, ...signals: readonly AbortSignal[]): boolean {
  return signals.some((signal) => signal.aborted && signal.reason === error);
}

/** What an answer says that came when all was done: as an operation's result does. */
function resultOf(reply: Reply): unknown {
  const warning = warningIn(reply);
  const until = reply.headers.get(TRASH_HEADER);
  if (reply.body !== undefined || (warning === "" && until === null)) return reply.body;
  return {
    ...(warning !== "" && { warning }),
    ...(until !== null && { trash: { until: Number(until) } }),
  };
}

/** The text of the Warning of an answer (RFC 7234 §5.5); empty: there is none. */
function warningIn({ headers }: Reply): string {
  const [, text = ""] = /^199 \S+ "(.*)"$/.exec(headers.get("warning") ?? "") ?? [];
  return text.replaceAll(/\\(.)/g, "$1");
}

/** What a change left undone, as its result says; empty: nothing. */
export function warningOf(result: unknown): string {
  const warning = typeof result === "object" && result !== null ? Reflect.get(result, "warning") : undefined;
  return typeof warning === "string" ? `; ${warning}` : "";
}
