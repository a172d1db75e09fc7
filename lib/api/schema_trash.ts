import { z } from "@hono/zod-openapi";
import { flag, hostWish, int32, text, timestamp, Uuid } from "./schema_common.ts";

/** The shapes of what was deleted, as they travel. */

const TrashedFileSchema = z.object({
  path: text("Where it was"),
  state: z.enum(["kept", "missing", "foreign"]).openapi({
    description: "foreign: another file than was deleted, which nobody meant to delete",
  }),
}).openapi("TrashedFile");

const TrashedVmSchema = z.object({
  id: Uuid.openapi({ description: "Its id" }),
  vm: text("UUID of the VM; empty: unknown"),
  name: text("The VM's name"),
  host: text("UUID of the host that deleted it; empty: unknown"),
  deleted: timestamp("When, by the storage's clock"),
  until: timestamp("From when on it may be emptied"),
  definition: flag("The VM itself was deleted, and can be defined again"),
  size: int32("What it takes on the storage, MiB"),
  files: z.array(TrashedFileSchema),
  busy: flag("A host is at work on it"),
  damage: text("Why not all of it can be told; empty: nothing is wrong"),
}).openapi("TrashedVm", { description: "What one change has deleted" });

export const TrashListSchema = z.object({
  hours: z.number().openapi({
    description: "How long the host that was asked keeps what is deleted on it; 0: not at all",
  }),
  items: z.array(TrashedVmSchema).openapi({ description: "The oldest first" }),
}).openapi("TrashList");

export const TrashListQuery = z.strictObject({
  host: Uuid.optional().openapi({ description: "Have this host answer; all see the same trash" }),
});

export const TrashEmptyQuery = z.strictObject({
  force: z.enum(["true", "false"]).optional().openapi({
    description: "Remove also files that nobody meant to delete, and what cannot be read",
  }),
});

export const TrashRestoreOptionsSchema = z.strictObject({
  host: hostWish("The host that the VM is to be defined on; empty: the one that is asked"),
}).openapi("TrashRestoreOptions");

export const RestoredVmSchema = z.object({
  vm: text("UUID of the VM that is defined again; empty: none is"),
  files: z.array(z.string()).openapi({ description: "The files that are back" }),
  warnings: z.array(z.string()).openapi({ description: "What is not as it was" }),
}).openapi("RestoredVm");

export const EmptiedTrashSchema = z.object({
  emptied: z.array(Uuid),
  left: z.array(z.object({ id: Uuid, reason: text("Why it is left") })),
}).openapi("EmptiedTrash");
