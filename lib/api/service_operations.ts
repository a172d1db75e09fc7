import { z } from "@hono/zod-openapi";
import { VirtxError } from "../model/error.ts";
import { LOG_LEVELS, type LogLevel } from "../model/log.ts";
import { type DocsPage, renderDocs } from "./docs_page.ts";
import type { Endpoints } from "./endpoints.ts";
import { problemResponse } from "./problem.ts";
import { JSON_TYPE, respond, respondEmpty, respondJson } from "./respond.ts";
import { text } from "./schema_common.ts";

/** Whether the daemon can do its work, and if not, why. */
export interface Readiness {
  readonly ready: boolean;
  /** Why not; empty if it is. */
  readonly reasons: readonly string[];
  /** What is wrong all the same: some of its work cannot be done, or something has failed that it should look into. */
  readonly degraded: readonly string[];
}

export interface ServiceOptions {
  readonly version: string;
  readonly readiness: () => Readiness;
  readonly logLevel: { get(): LogLevel; set(level: LogLevel): void };
}

const HealthSchema = z.object({ status: z.literal("ok"), version: text("Version of virtxd") }).openapi(
  "Health",
);
const ReadySchema = z.object({
  ready: z.literal(true),
  degraded: z.array(text("A fault that lasts")).describe(
    "What is wrong all the same; empty: nothing is known",
  ),
}).openapi("Ready");
const LogLevelSchema = z.strictObject({ level: z.enum(LOG_LEVELS) }).openapi("LogLevelOption");

const ABOUT =
  `The API of a virtxd cluster. Ask any host about any VM: a request that is for another host is passed on to it. If that host
cannot be reached the status is 502, if it is not known or not active 503, if it does not answer in time 504, each with its name.

What a host has answered to a change, it shows: whoever asks it next sees the VM as it was left, wherever that is.

Each change is an operation with an id (X-VirtX-Operation), under which any host tells what became of it. Prefer:
respond-async has it answered at once, and an Idempotency-Key makes it safe to ask again.

Enumerations travel as integers, sizes are MiB, timestamps are UTC milliseconds since the epoch, and an empty string or 0
means "unset". Errors are problem details (RFC 9457). An answer that is logged has an X-Request-Id, which the log has too; send
one of your own and it is taken over. X-VirtX-Stale on an answer says for how many seconds libvirt has been away, X-VirtX-Cluster-Stale
for how many Serf has: what is shown of this host's VMs, or of the other hosts, is from memory. X-VirtX-Incomplete says why VMs
may be missing from what is shown, as on a host that has just started; a VM that such a host does not know is no 404 there, but
503 with Retry-After. \`conditions\` of a host say what it is without: virtxd, libvirt, storage, or Serf. Answers to GET can be
had with HEAD as well.`;

/** What concerns the daemon itself: health, readiness, log level, documentation. */
export function addServiceOperations(endpoints: Endpoints, o: ServiceOptions): void {
  endpoints.add({
    id: "Health",
    method: "get",
    path: "/healthz",
    tag: "Service",
    summary: "Whether virtxd is alive",
    answers: { 200: { description: "It is", schema: HealthSchema } },
  }, () => respondJson(200, { status: "ok", version: o.version }));

  endpoints.add({
    id: "Ready",
    method: "get",
    path: "/readyz",
    tag: "Service",
    summary: "Whether virtxd can do all of its work",
    answers: { 200: { description: "It can", schema: ReadySchema } },
    failures: ["unavailable"],
  }, ({ exchange }) => {
    const { ready, reasons, degraded } = o.readiness();
    if (ready) return respondJson(200, { ready, degraded });
    // Answered rather than thrown: being asked is no failure of a request, and need not be logged each time.
    return problemResponse(
      new VirtxError("unavailable", `virtxd is not ready: ${[...reasons, ...degraded].join("; ")}`),
      exchange.id,
    );
  });

  endpoints.add({
    id: "LogLevelGet",
    method: "get",
    path: "/loglevel",
    tag: "Service",
    summary: "The level from which on lines are logged",
    answers: { 200: { description: "The level", schema: LogLevelSchema } },
  }, () => respondJson(200, { level: o.logLevel.get() }));

  endpoints.add({
    id: "LogLevelSet",
    method: "put",
    path: "/loglevel",
    tag: "Service",
    summary: "Change the log level until the next start",
    body: { schema: LogLevelSchema, example: { level: "debug" } },
    answers: { 204: { description: "It is changed" } },
  }, ({ body }) => {
    o.logLevel.set(body.level);
    return respondEmpty(204);
  });

  // Made when first asked for: most daemons never are.
  let document: string | undefined;
  const info = { title: "virtxd", version: o.version, description: ABOUT };
  endpoints.add({
    id: "OpenApi",
    method: "get",
    path: "/openapi.json",
    tag: "Service",
    summary: "This API as an OpenAPI 3.1 document",
    answers: { 200: { description: "The document", schema: z.looseObject({ openapi: z.string() }) } },
  }, () => respond(200, document ??= JSON.stringify(endpoints.document(info)), JSON_TYPE));

  endpoints.add({
    id: "Root",
    method: "get",
    path: "/",
    tag: "Service",
    summary: "The way to the documentation",
    answers: { 302: { description: "To /docs", headers: { Location: "docs" } } },
  }, () => {
    const response = respondEmpty(302);
    response.headers.set("location", "docs");
    return response;
  });

  let docs: DocsPage | undefined;
  endpoints.add({
    id: "Docs",
    method: "get",
    path: "/docs",
    tag: "Service",
    summary: "This API as a page",
    answers: { 200: { description: "The page", schema: z.string(), type: "text/html" } },
  }, () => {
    docs ??= renderDocs(endpoints.document(info));
    const response = respond(200, docs.page, "text/html; charset=utf-8");
    response.headers.set("content-security-policy", docs.policy);
    return response;
  });
}
