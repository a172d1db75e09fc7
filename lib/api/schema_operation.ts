import { z } from "@hono/zod-openapi";
import { OPERATION_STATES, toError, type TrackedOperation } from "../vm/operation_record.ts";
import { Problem, problemOf } from "./problem.ts";
import { text, timestamp, Uuid } from "./schema_common.ts";

/** The shapes of operations as they travel. */

const ProgressSchema = z.object({
  total: z.int().openapi({ description: "MiB to be moved or written" }),
  done: z.int().openapi({
    description: "MiB of them that are; what a guest writes meanwhile makes it less again",
  }),
  rate: z.number().openapi({ description: "MiB/s; 0: not known" }),
  timeleft: z.int().openapi({ description: "Milliseconds; 0: not known" }),
}).openapi("OperationProgress");

export const TrackedOperationSchema = z.object({
  id: Uuid.openapi({ description: "Its id, as in X-VirtX-Operation" }),
  op: text("What was asked for").openapi({ example: "VmCreate" }),
  vm: Uuid.openapi({ description: "The VM, also one that is being created" }),
  host: Uuid.openapi({ description: "The host that carries it out" }),
  state: z.enum(OPERATION_STATES),
  started: timestamp("Start"),
  ended: timestamp("End; 0 while it is running"),
  error: Problem.optional().openapi({
    description: "Why it failed, or what was given up when it was cancelled",
  }),
  result: z.unknown().optional().openapi({
    description:
      "What it brought: of VmCreate the UUID, of VmUpdate and VmDelete maybe a warning, of VmMigrate the host",
  }),
  progress: ProgressSchema.optional().openapi({
    description:
      "Of one that is running, where it can be told: a migration, thick disks. Only OperationGet has it",
  }),
}).openapi("TrackedOperation", { description: "A change that was asked for; kept for a day after its end" });
export type TrackedOperationJson = z.output<typeof TrackedOperationSchema>;

export const OperationListSchema = z.object({
  items: z.array(TrackedOperationSchema),
  missing: z.array(z.object({
    host: Uuid,
    name: text("Its name"),
    reason: text("Why its operations could not be had"),
  })).openapi({ description: "Active hosts whose operations may be missing" }),
}).openapi("OperationList");
export type OperationListJson = z.output<typeof OperationListSchema>;

/** An operation as it travels: its failure as problem details. */
export function toOperationJson({ error, ...operation }: TrackedOperation): TrackedOperationJson {
  return {
    ...operation,
    error: error && problemOf(toError(error), `urn:virtx:operation:${operation.id}`),
    result: operation.result,
  };
}
