import type { ErrorKind } from "../model/error.ts";

/** What the type of every problem of virtxd begins with. */
export const TYPE_PREFIX = "urn:virtx:problem:";

/** The one place where a kind of failure becomes a status (protocol.md §1, "Errors of the prototype"). */
const MEANINGS: Readonly<Record<ErrorKind, { readonly status: number; readonly title: string }>> = {
  invalid: { status: 400, title: "The request is not valid" },
  denied: { status: 403, title: "The request is not permitted" },
  not_found: { status: 404, title: "There is no such resource" },
  cancelled: { status: 409, title: "It was cancelled" },
  duplicate: { status: 409, title: "Another has that name" },
  stale: { status: 412, title: "It has changed since it was read" },
  conflict: { status: 422, title: "The state of the resource does not allow this" },
  refused: { status: 424, title: "libvirt refused" },
  internal: { status: 500, title: "virtxd failed" },
  unimplemented: { status: 501, title: "This cluster cannot do that" },
  unreachable: { status: 502, title: "Another host could not be reached" },
  unavailable: { status: 503, title: "What the request needs is away" },
  timeout: { status: 504, title: "It took too long" },
  storage: { status: 507, title: "Storage could not be provisioned" },
  loop: { status: 508, title: "A request that was passed on came to the wrong host" },
};

/** The status that a kind of failure is answered with. */
export function statusOf(kind: ErrorKind): number {
  return MEANINGS[kind].status;
}

/** The kind of failure that an answer stands for, by its problem type if that is one of ours, else by its status. */
export function kindOf(type: string, status: number): ErrorKind {
  const name = type.startsWith(TYPE_PREFIX) ? type.slice(TYPE_PREFIX.length) : "";
  for (const kind of Object.keys(MEANINGS) as ErrorKind[]) if (kind === name) return kind;
  for (const kind of Object.keys(MEANINGS) as ErrorKind[]) if (statusOf(kind) === status) return kind;
  return status >= 400 && status < 500 ? "invalid" : "internal";
}

/** The title of the problems with that status, for the OpenAPI document. */
export function titleOf(kind: ErrorKind): string {
  return MEANINGS[kind].title;
}
