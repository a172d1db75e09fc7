import { errorMessage, VirtxError } from "../model/error.ts";

/** Why this host cannot tell that something is nowhere in the cluster; undefined: it can. */
export type Unsure = () => string | undefined;

/** After so many seconds the other hosts have told, as a rule. */
const RETRY_S = 1;

/** An error as it is to be told by a host that may not know all: what was not found may be somewhere (503). */
export function unlessUnsure(error: unknown, unsure: Unsure): unknown {
  if (!(error instanceof VirtxError) || error.kind !== "not_found") return error;
  const reason = unsure();
  if (reason === undefined) return error;
  const message = `${
    errorMessage(error)
  }, as far as this host knows; but ${reason}. Ask again, or another host`;
  return new VirtxError("unavailable", message, { cause: error, retryAfterS: RETRY_S });
}
