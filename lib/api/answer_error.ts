import { type ErrorDetails, type ErrorKind, type FieldIssue, VirtxError } from "../model/error.ts";
import { kindOf, TYPE_PREFIX } from "./failure_kinds.ts";
import { readBytes } from "./read_bytes.ts";

/** The longest answer that is read for what it says went wrong, in bytes. */
const ERROR_MAX_BYTES = 256 * 1024;

/** What an answer tells beside the error itself. */
export interface AnswerDetails extends ErrorDetails {
  /** X-Request-Id, under which the server's log has the details. */
  readonly requestId?: string | undefined;
  /** Whether it has problem details: what has none comes from something else than virtxd. */
  readonly isProblem?: boolean;
}

/** An answer that is no success. */
export class AnswerError extends VirtxError {
  readonly requestId: string | undefined;
  readonly isProblem: boolean;

  constructor(kind: ErrorKind, message: string, details: AnswerDetails) {
    super(kind, message, details);
    this.requestId = details.requestId;
    this.isProblem = details.isProblem ?? true;
  }

  /** The server has seen to its own. */
  override get isDefect(): boolean {
    return false;
  }
}

/** The error that an answer tells of: problem details (RFC 9457), or less from what is not virtxd. */
export function toError(response: Response, text: string): AnswerError {
  const problem = fieldsOf(parse(text));
  const retryAfter = Number(response.headers.get("retry-after") ?? NaN);
  const details = {
    ...detailsOf(problem),
    ...(Number.isFinite(retryAfter) && { retryAfterS: retryAfter }),
    requestId: response.headers.get("x-request-id") ?? undefined,
    isProblem: typeof problem.detail === "string",
  };
  const { type, detail } = problem;
  const kind = kindOf(typeof type === "string" ? type : "", response.status);
  const message = typeof detail === "string"
    ? detail
    : `HTTP status ${response.status}: ${text.trim().slice(0, 200)}`;
  return new AnswerError(kind, message, details);
}

/** Reads the error that another host's answer tells of. @throws VirtxError unreachable, if there is no end to it */
export async function readError(response: Response): Promise<AnswerError> {
  const bytes = await readBytes(response.body, ERROR_MAX_BYTES, () => {
    const what = `an error of more than ${ERROR_MAX_BYTES} bytes, with status ${response.status}`;
    throw new VirtxError("unreachable", `The other host answers with ${what}`);
  });
  return toError(response, new TextDecoder().decode(bytes));
}

/** Problem details on their own, as a failed operation carries them; undefined: that is no problem of ours. */
export function problemError(value: unknown): AnswerError | undefined {
  const problem = fieldsOf(value);
  const { type, detail, status } = problem;
  if (typeof type !== "string" || !type.startsWith(TYPE_PREFIX) || typeof detail !== "string") {
    return undefined;
  }
  return new AnswerError(kindOf(type, Number(status)), detail, detailsOf(problem));
}

/**
 * Read by hand and not by the schema of problem.ts, since the command line stands on this too: to load zod takes it longer
 * than all the rest of a command.
 */
function detailsOf({ errors, libvirt }: Fields): ErrorDetails {
  const issues = (Array.isArray(errors) ? errors : []).map(fieldsOf).filter(isIssue);
  const { code, domain, level, message } = fieldsOf(libvirt);
  return {
    ...(issues.length > 0 && { issues: issues.map(({ field, message }) => ({ field, message })) }),
    ...(typeof message === "string" &&
      { libvirt: { code: Number(code), domain: Number(domain), level: Number(level), message } }),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function isIssue(value: Fields): value is Fields & FieldIssue {
  return typeof value.field === "string" && typeof value.message === "string";
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
