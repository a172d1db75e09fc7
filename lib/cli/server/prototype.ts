import { AnswerError } from "../../api/answer_error.ts";
import { type FilterFields, HOST_FILTER, VM_FILTER } from "../../api/filter_body.ts";
import { HostState, Runstate } from "../../model/enums.ts";
import { VirtxError } from "../../model/error.ts";

/** What Go's HTTP server says of a path that it does not have. */
const NO_SUCH_PATH = "404 page not found";

const LISTS: ReadonlyMap<string, FilterFields> = new Map([["/vms", VM_FILTER], ["/hosts", HOST_FILTER]]);

/** The enumerations whose names virtxd takes in filters, and the prototype does not. */
const ENUMERATIONS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  runstate: Runstate,
  cstate: HostState,
};

/** Filters that are text, even if they look like a number. */
const TEXTS: readonly string[] = [
  "name",
  "host",
  "custom.name",
  "custom.value",
  "cpuarch.arch",
  "cpuarch.vendor",
  "cpudef.model",
  "osid",
  "osv",
];

/** Whether a host of the prototype answers so to a GET without a body: it wants one with every request. */
export function wantsBody(error: unknown): boolean {
  return error instanceof AnswerError && !error.isProblem && error.kind === "invalid" &&
    /body/i.test(error.message);
}

/**
 * A request as the prototype wants it (protocol.md §1): with a body, and with a list's filter in that.
 * @throws VirtxError unimplemented for what it would not understand, and so would answer otherwise, or do
 */
export function forPrototype(
  method: string,
  path: string,
  body: unknown,
  endpoint: string,
): { readonly path: string; readonly body: unknown } {
  const [pathname = "", query] = path.split("?");
  const fields = method === "GET" ? LISTS.get(pathname) : undefined;
  const filter: Record<string, unknown> = {};
  for (const [name, value] of new URLSearchParams(query)) {
    const field = Object.entries(fields ?? {}).find(([, parameter]) => parameter === name)?.[0];
    if (field === undefined) {
      throw new VirtxError(
        "unimplemented",
        `${atPrototype(endpoint)}, which does not know "${name}" of ${pathname}`,
      );
    }
    set(
      filter,
      field.split("."),
      TEXTS.includes(field) ? value : Number(ENUMERATIONS[name]?.[value] ?? value),
    );
  }
  return { path: pathname, body: fields === undefined ? body ?? null : { filter } };
}

/** Why a host of the prototype did not answer, in words for its user. */
export function prototypeFailure(error: unknown, path: string, endpoint: string): unknown {
  if (!(error instanceof AnswerError) || !error.message.includes(NO_SUCH_PATH)) return error;
  const [pathname] = path.split("?");
  return new VirtxError("unimplemented", `${atPrototype(endpoint)}, which has no ${pathname}`, {
    cause: error,
  });
}

function atPrototype(endpoint: string): string {
  return `At ${endpoint} is a host of the prototype`;
}

function set(
  object: Record<string, unknown>,
  [first = "", ...rest]: readonly string[],
  value: unknown,
): void {
  if (rest.length === 0) {
    object[first] = value;
    return;
  }
  const inner: Record<string, unknown> = { ...object[first] as Record<string, unknown> | undefined };
  set(inner, rest, value);
  object[first] = inner;
}
