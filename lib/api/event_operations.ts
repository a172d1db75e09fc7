import { z } from "@hono/zod-openapi";
import type { Endpoints } from "./endpoints.ts";
import { EVENT_TYPES, type EventFeed, type EventType } from "./event_feed.ts";
import { LOOP_HEADER } from "./passing.ts";
import { respond } from "./respond.ts";
import { text, Uuid } from "./schema_common.ts";

const EventQuery = z.strictObject({
  types: z.string().transform((names, context) => {
    const types = names.split(",");
    if (types.every((name): name is EventType => EVENT_TYPES.some((type) => type === name))) return types;
    context.addIssue(`must be some of ${EVENT_TYPES.join(", ")}, separated by commas`);
    return z.NEVER;
  }).optional().openapi({
    type: "string",
    description: `Only these: some of ${EVENT_TYPES.join(", ")}, separated by commas`,
    example: "vm,operation",
  }),
  vm: Uuid.optional().openapi({ description: "Only those of this VM and of its operations" }),
});

/** Following what changes. */
export function addEventOperations(endpoints: Endpoints, feed: EventFeed): void {
  endpoints.add({
    id: "Events",
    method: "get",
    path: "/events",
    tag: "Operations",
    summary: "Follow the changes of hosts, VMs and operations",
    description:
      "Server-Sent Events of the whole cluster, from any host. `host` and `vm` events have an item of HostList or VmList as " +
      "their data, or `uuid` and `removed`; `operation` events what OperationGet answers, without progress.\n\n" +
      "A client that comes back to the same host with Last-Event-ID goes on where it was: no event is missed or comes " +
      "twice. Where that is impossible, because virtxd was restarted or too much has happened, there is an event `resync`: " +
      "then read the lists again. It comes too when operations of another host may have been missed, which was away. For a picture without gaps, follow the events first, and read the lists then. " +
      "Between events there are comments as signs of life. A client that does not keep up is cut off.",
    query: EventQuery,
    headers: {
      "Last-Event-ID": {
        description: "The id of the last event that the client had",
        example: "0a1b2c3d-4711",
      },
    },
    streams: true,
    answers: {
      200: {
        description: "Events, until the client goes away",
        schema: text("Events"),
        type: "text/event-stream",
      },
    },
    failures: ["unavailable"],
  }, async ({ query: { types = EVENT_TYPES, vm }, request: { headers }, exchange: { connection } }) => {
    const filter = { types: new Set(types), vm, isOwn: headers.has(LOOP_HEADER) };
    return respond(
      200,
      await feed.open(filter, headers.get("last-event-id"), connection.client()),
      "text/event-stream",
    );
  });
}
