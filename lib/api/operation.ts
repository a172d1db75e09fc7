import type { z } from "@hono/zod-openapi";
import type { ErrorKind, FieldIssue } from "../model/error.ts";
import type { Exchange } from "./exchange.ts";
import type { FilterFields } from "./filter_body.ts";
import type { Patience } from "./passing.ts";

/**
 * One operation of the API: what it is called, what it takes and what it answers. From this one definition come the
 * route, the validation, the handler's types and the operation's part of the OpenAPI document.
 */
export interface Operation<Query extends z.ZodObject, Body extends z.ZodType> {
  /** The operationId, as in protocol.md §1. */
  readonly id: string;
  readonly method: "get" | "post" | "put" | "delete";
  /** An OpenAPI path template; the only parameter that paths have is {uuid}. */
  readonly path: string;
  readonly tag: "VMs" | "Hosts" | "Operations" | "Trash" | "Service" | "Between hosts";
  readonly summary: string;
  readonly description?: string;
  /** Query parameters, each from a string; others than these are refused. */
  readonly query?: Query;
  readonly body?: JsonBody<Body>;
  /** A list's filter may also come in the body, with these fields. */
  readonly filter?: FilterFields;
  /** Headers that it heeds, for the documentation. */
  readonly headers?: Readonly<Record<string, RequestHeader>>;
  /** Its answer goes on until the client goes away. */
  readonly streams?: boolean;
  /** What success looks like, by status. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** It is asked so often that even the router counts: where its path is met exactly, a GET goes straight to it. */
  readonly hot?: boolean;
  /** It changes nothing, though its method is not GET: it is logged like a read. */
  readonly readsOnly?: boolean;
  /**
   * Which host answers it: the one that the VM in its path is on, or one that the request names by its UUID. Left out, and
   * where it names none: the one that is asked.
   */
  readonly at?: "vm" | ((input: Input<Query, Body>) => string | undefined);
  /** It is carried out as an operation that can be looked up; see Tracking. */
  readonly tracked?: boolean;
  /** How long another host may take to answer; by default what its method suggests. */
  readonly patience?: Patience;
  /** How it may fail, beyond what any request may: that it is invalid or denied. */
  readonly failures?: readonly ErrorKind[];
}

export interface RequestHeader {
  readonly description: string;
  readonly example: string;
  /** What it must match. */
  readonly pattern?: string;
}

/** The JSON body of a request. */
export interface JsonBody<Body extends z.ZodType> {
  readonly schema: Body;
  /** No body and `null` stand for an object without fields, so that every field has its default. */
  readonly optional?: boolean;
  /** Rules that hold between fields; asked once the shape is right. */
  readonly rules?: (body: z.output<Body>) => readonly FieldIssue[];
  /** For the documentation. */
  readonly example?: unknown;
}

export interface Answer {
  readonly description: string;
  /** The JSON body's shape; without one there is no body. */
  readonly schema?: z.ZodType;
  /** The body's media type, if it is not JSON. */
  readonly type?: string;
  /** Headers that it may carry, each with its meaning. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a handler gets: everything checked. */
export interface Input<Query extends z.ZodObject, Body extends z.ZodType> {
  /** The UUID in the path; empty where the path has none. */
  readonly uuid: string;
  readonly query: z.output<Query>;
  readonly body: z.output<Body>;
  /** The body as it came. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly request: Request;
  readonly exchange: Exchange;
}

/** Answers a checked request. One that needs not wait should not: the promise would cost more than the work. */
export type OperationHandler<Query extends z.ZodObject, Body extends z.ZodType> = (
  input: Input<Query, Body>,
) => Response | Promise<Response>;
