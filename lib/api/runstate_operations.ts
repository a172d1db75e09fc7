import { z } from "@hono/zod-openapi";
import { validateMigrateOptions } from "../model/validate_migrate.ts";
import type { VmUseCases } from "../vm/use_cases.ts";
import type { Endpoints } from "./endpoints.ts";
import { respondEmpty, respondJson } from "./respond.ts";
import { MigrateQuerySchema } from "./schema_query.ts";
import {
  MigrationInfoSchema,
  MigrationVerdictSchema,
  VmBootOptionsSchema,
  VmMigrateOptionsSchema,
  VmShutdownOptionsSchema,
} from "./schema_vm.ts";
import type { Tracking } from "./tracking.ts";
import type { ErrorKind } from "../model/error.ts";

/** How a change of state may fail. */
const FAILURES: readonly ErrorKind[] = ["conflict", "refused", "unavailable", "timeout"];

/** What is done with running VMs (protocol.md §1): boot, shutdown, pause, resume, migration. */
export function addRunstateOperations(
  endpoints: Endpoints,
  o: { readonly vms: VmUseCases; readonly tracking: Tracking },
): void {
  const { vms, tracking } = o;

  endpoints.add({
    id: "VmBoot",
    method: "post",
    path: "/vms/{uuid}/runstate/boot",
    tag: "VMs",
    summary: "Start a VM",
    description: "Without a body it starts without cloud-init documents.",
    body: {
      schema: VmBootOptionsSchema,
      optional: true,
      example: { cloud_init: [{ name: "ci-userdata", value: "#cloud-config\nhostname: web1\n" }] },
    },
    answers: { 204: { description: "It runs" } },
    at: "vm",
    tracked: true,
    failures: [...FAILURES, "storage"],
  }, (input) =>
    tracking.answer(input, {
      run: (uuid) => vms.boot(uuid, input.body),
      needsStorage: input.body.cloud_init.length > 0,
      answer: respondDone,
    }));

  endpoints.add({
    id: "VmShutdown",
    method: "delete",
    path: "/vms/{uuid}/runstate/boot",
    tag: "VMs",
    summary: "Shut down a VM",
    description: "Without a body the guest is asked by ACPI (force 0).",
    body: { schema: VmShutdownOptionsSchema, optional: true, example: { force: 0 } },
    answers: {
      202: { description: "The guest was asked (force 0)" },
      204: { description: "It is off (force 1, 2)" },
    },
    at: "vm",
    tracked: true,
    failures: FAILURES,
  }, (input) =>
    tracking.answer(input, {
      run: (uuid) => vms.shutdown(uuid, input.body),
      answer: () => respondEmpty(input.body.force === 0 ? 202 : 204),
    }));

  endpoints.add({
    id: "VmPause",
    method: "post",
    path: "/vms/{uuid}/runstate/pause",
    tag: "VMs",
    summary: "Pause a VM",
    answers: { 204: { description: "It is paused" } },
    at: "vm",
    tracked: true,
    failures: FAILURES,
  }, (input) => tracking.answer(input, { run: (uuid) => vms.pause(uuid), answer: respondDone }));

  endpoints.add({
    id: "VmResume",
    method: "delete",
    path: "/vms/{uuid}/runstate/pause",
    tag: "VMs",
    summary: "Let a paused VM go on",
    answers: { 204: { description: "It runs" } },
    at: "vm",
    tracked: true,
    failures: FAILURES,
  }, (input) => tracking.answer(input, { run: (uuid) => vms.resume(uuid), answer: respondDone }));

  endpoints.add({
    id: "VmMigrate",
    method: "post",
    path: "/vms/{uuid}/runstate/migrate",
    tag: "VMs",
    summary: "Migrate a VM to another host",
    description:
      "A cold migration (0) needs poweroff or crashed, a live one (1) running or paused. Without a host " +
      "the least loaded of those that can take the VM is chosen. It is answered when it has begun; its operation lasts until " +
      "it has ended, and tells the progress.",
    query: MigrateQuerySchema,
    body: {
      schema: VmMigrateOptionsSchema,
      rules: validateMigrateOptions,
      example: {
        host: "",
        migration_type: 1,
        deadline: 300,
        convergence: ["downtime", "throttle", "giveup"],
      },
    },
    answers: {
      200: {
        description: "With dry_run: for each host whether it can take the VM, the best one first",
        schema: z.array(MigrationVerdictSchema),
      },
      202: { description: "The target can take it, and it has begun" },
    },
    at: "vm",
    tracked: true,
    failures: [...FAILURES, "cancelled", "unimplemented"],
  }, async (input) => {
    const { query, body } = input;
    if (query.dry_run === "true") {
      return respondJson(200, await vms.migrationTargets(input.uuid, body));
    }
    return await tracking.answer(input, {
      run: async (uuid, control) => {
        const { ended } = await vms.migrate(uuid, body, control);
        control.begun();
        return await ended;
      },
      needsStorage: true,
      answer: () => respondEmpty(202),
      answerBegun: () => respondEmpty(202),
    });
  });

  endpoints.add({
    id: "VmMigrateGet",
    method: "get",
    path: "/vms/{uuid}/runstate/migrate",
    tag: "VMs",
    summary: "Progress of a migration",
    answers: { 200: { description: "State and progress", schema: MigrationInfoSchema } },
    at: "vm",
    failures: FAILURES,
  }, async ({ uuid }) => {
    return respondJson(200, await vms.migration(uuid));
  });

  endpoints.add({
    id: "VmMigrateAbort",
    method: "delete",
    path: "/vms/{uuid}/runstate/migrate",
    tag: "VMs",
    summary: "Abort a migration",
    answers: { 204: { description: "It was aborted" } },
    at: "vm",
    tracked: true,
    failures: FAILURES,
  }, (input) => tracking.answer(input, { run: (uuid) => vms.abortMigration(uuid), answer: respondDone }));
}

function respondDone(): Response {
  return respondEmpty(204);
}
