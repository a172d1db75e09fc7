import { z } from "@hono/zod-openapi";
import type { Cluster } from "../cluster/cluster.ts";
import type { OriginState, Want } from "../cluster/exchange.ts";
import type { Endpoints } from "./endpoints.ts";
import { STATES_PATH, VECTOR_PATH } from "./http_peers.ts";
import { respondEmpty, respondJson, respondStream } from "./respond.ts";
import { int64, text, timestamp, Uuid } from "./schema_common.ts";
import { encodeStates } from "./state_lines.ts";

/** What this host can tell others of what it knows. */
export type ClusterView = Pick<Cluster, "vector" | "states">;

/** The most origins that are told of in one answer. */
const WANTS_MAX = 5_000;

const Digest = text("16 hexadecimal digits").openapi({ pattern: "^[0-9a-f]{16}$" });
const stamp = {
  epoch: timestamp("Start of the life of the host that this is counted in"),
  seq: int64("How many changes it has told in this life"),
  digest: Digest.openapi({ description: "Of all its VMs" }),
};

const VectorQuery = z.object({
  known: z.string().regex(/^[0-9a-f]{16}$/, "must be 16 hexadecimal digits").optional().openapi({
    description: "The digest of what the asker knows",
  }),
});

const VectorSchema = z.object({
  uuid: Uuid.openapi({ description: "The host that answers" }),
  digest: Digest.openapi({ description: "Of all entries" }),
  origins: z.array(z.object({
    uuid: Uuid,
    ...stamp,
    count: int64("How many VMs it has"),
    doubted: z.boolean().optional().openapi({
      description: "It was away, and what is known of it may date from before that",
    }),
  })),
}).openapi("Vector", { description: "How far a host's knowledge of each host goes" });

/** Unknown fields are ignored, so that later versions can add some. */
const WantsSchema = z.array(z.object({
  uuid: Uuid,
  since: z.object({ epoch: z.int().min(1), seq: z.int().min(0) }).optional().openapi({
    description: "What the asker knows already; left out: nothing",
  }),
})).max(WANTS_MAX);

const StateLine = z.looseObject({ uuid: Uuid, ...stamp }).openapi("OriginState", {
  description: "A host and its VMs, or what has changed of them after `base`",
});

/** What hosts ask each other for, to make good what gossip has lost. */
export function addClusterOperations(endpoints: Endpoints, cluster: ClusterView): void {
  endpoints.add({
    id: "ClusterVector",
    method: "get",
    path: VECTOR_PATH,
    tag: "Between hosts",
    summary: "How far this host's knowledge goes",
    query: VectorQuery,
    answers: {
      200: { description: "For each host, how far", schema: VectorSchema },
      204: { description: "As far as that of the asker" },
    },
  }, ({ query }) => {
    const vector = cluster.vector(query.known ?? "");
    return vector === undefined ? respondEmpty(204) : respondJson(200, vector);
  });

  endpoints.add({
    id: "ClusterStates",
    method: "post",
    path: STATES_PATH,
    tag: "Between hosts",
    summary: "What this host knows of some hosts",
    description: "The answer is a stream of JSON lines. Hosts that are not known are left out.",
    body: { schema: WantsSchema, example: [{ uuid: "0b8b3f3a-5b0e-4c43-9b4e-0a4f6f3c2d11" }] },
    readsOnly: true,
    answers: {
      200: { description: "One line for each, or several", schema: StateLine, type: "application/x-ndjson" },
    },
  }, ({ body }) => respondStream(linesOf(cluster, body), "application/x-ndjson"));
}

/** Looks each up only when its turn comes: between two of them the daemon does other things. */
function* linesOf(cluster: ClusterView, wants: z.output<typeof WantsSchema>): Generator<string> {
  for (const { uuid, since } of wants) {
    const want: Want = { uuid, since };
    yield* encodeStates(cluster.states([want]) satisfies readonly OriginState[]);
  }
}
