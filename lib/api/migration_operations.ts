import { z } from "@hono/zod-openapi";
import { parseTargetCheck } from "../vm/migration_exchange.ts";
import type { MigrationTargetUseCases } from "../vm/use_cases.ts";
import type { Endpoints } from "./endpoints.ts";
import { ARRIVAL_PATH, CHECK_PATH } from "./http_migrations.ts";
import { respondEmpty, respondJson } from "./respond.ts";
import { flag, Uuid } from "./schema_common.ts";
import { MigrationVerdictSchema } from "./schema_vm.ts";

/** The fields are those of TargetCheck; parseTargetCheck makes sure of them, and ignores what it does not know. */
const TargetCheckSchema = z.looseObject({ vm: Uuid }).openapi("TargetCheck", {
  description: "A VM as a host must know it to tell whether it can take it",
});

const DomainLookSchema = z.object({
  presence: z.enum(["absent", "off", "incoming", "running", "paused", "outgoing", "halved"]),
  persistent: flag("There is a definition that stays"),
  migrating: flag("libvirt is busy with a migration of it"),
}).openapi("DomainLook", { description: "What a host's libvirt has of a VM at this moment" });

/** What hosts ask each other about migrations, and have each other do at their end. */
export function addMigrationOperations(endpoints: Endpoints, vms: MigrationTargetUseCases): void {
  endpoints.add({
    id: "MigrationCheck",
    method: "post",
    path: CHECK_PATH,
    tag: "Between hosts",
    summary: "Whether this host can take a VM",
    body: { schema: TargetCheckSchema },
    readsOnly: true,
    answers: { 200: { description: "With all that is in the way", schema: MigrationVerdictSchema } },
  }, async ({ body }) => respondJson(200, await vms.checkTarget(parseTargetCheck(body))));

  endpoints.add({
    id: "MigrationLook",
    method: "get",
    path: ARRIVAL_PATH,
    tag: "Between hosts",
    summary: "What libvirt on this host has of a VM at this moment",
    answers: { 200: { description: "It was asked", schema: DomainLookSchema } },
    failures: ["unavailable", "timeout", "refused"],
  }, async ({ uuid }) => respondJson(200, await vms.lookAt(uuid)));

  endpoints.add({
    id: "MigrationResume",
    method: "post",
    path: ARRIVAL_PATH,
    tag: "Between hosts",
    summary: "Let a VM run that waits here, paused, after its migration",
    description:
      "Its source must have a record of its migration to this host on shared storage, and no guest any more.",
    answers: { 204: { description: "It runs" } },
    failures: ["conflict", "unavailable", "timeout", "refused"],
  }, async ({ uuid }) => {
    await vms.resumeArrived(uuid);
    return respondEmpty(204);
  });

  endpoints.add({
    id: "MigrationDiscard",
    method: "delete",
    path: ARRIVAL_PATH,
    tag: "Between hosts",
    summary: "Remove what a failed migration left of a VM here",
    description:
      "A guest that runs here is not touched. It has to run at its source, which must have a record of its migration to this " +
      "host on shared storage.",
    answers: { 204: { description: "Nothing of it is here" } },
    failures: ["conflict", "unavailable", "timeout", "refused"],
  }, async ({ uuid }) => {
    await vms.discardLeftover(uuid);
    return respondEmpty(204);
  });
}
