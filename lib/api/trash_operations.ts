import { ALWAYS_RESPONSIVE, type Responsive } from "../posix/files.ts";
import type { TrashUseCases } from "../vm/use_cases.ts";
import type { Endpoints } from "./endpoints.ts";
import { onStorage } from "./on_storage.ts";
import { respondEmpty, respondJson } from "./respond.ts";
import {
  EmptiedTrashSchema,
  RestoredVmSchema,
  TrashEmptyQuery,
  TrashListQuery,
  TrashListSchema,
  TrashRestoreOptionsSchema,
} from "./schema_trash.ts";

/** What was deleted together with its storage, and can still be had back. */
export function addTrashOperations(
  endpoints: Endpoints,
  o: {
    readonly trash: TrashUseCases;
    readonly storage?: Responsive | undefined;
    /** @throws VirtxError not_found */
    readonly requireHost: (host: string) => void;
  },
): void {
  const { trash, storage = ALWAYS_RESPONSIVE } = o;
  const answering = <T>(what: string, task: () => Promise<T>) => onStorage(storage, what, task);

  endpoints.add({
    id: "TrashList",
    method: "get",
    path: "/trash",
    tag: "Trash",
    summary: "What was deleted and can be restored",
    description: "Read from the shared storage, by any host.",
    query: TrashListQuery,
    at: ({ query: { host } }) => {
      if (host !== undefined) o.requireHost(host);
      return host;
    },
    answers: { 200: { description: "The trash", schema: TrashListSchema } },
    failures: ["not_found", "storage", "unavailable", "timeout"],
  }, async () => {
    const items = await answering("list the trash", () => trash.list());
    return respondJson(200, { hours: trash.hours, items });
  });

  endpoints.add({
    id: "TrashRestore",
    method: "post",
    path: "/trash/{uuid}/restore",
    tag: "Trash",
    summary: "Put back what was deleted",
    description:
      "All files return to their paths; if one is taken, nothing changes. A VM that was deleted, and is nowhere, is defined " +
      "again. Its UEFI variables come back if they were on the shared storage.",
    body: { schema: TrashRestoreOptionsSchema, optional: true, example: { host: "" } },
    answers: { 200: { description: "It is back", schema: RestoredVmSchema } },
    at: ({ body }) => body.host,
    failures: ["not_found", "conflict", "refused", "storage", "unavailable", "timeout"],
  }, async ({ uuid }) => {
    return respondJson(200, await answering(`restore ${uuid}`, () => trash.restore(uuid)));
  });

  endpoints.add({
    id: "TrashEmpty",
    method: "delete",
    path: "/trash/{uuid}",
    tag: "Trash",
    summary: "Remove for good what one change has deleted",
    query: TrashEmptyQuery,
    answers: { 204: { description: "It is gone" } },
    failures: ["not_found", "conflict", "storage", "unavailable", "timeout"],
  }, async ({ uuid, query: { force } }) => {
    await answering(`empty ${uuid}`, () => trash.empty(uuid, { force: force === "true" }));
    return respondEmpty(204);
  });

  endpoints.add({
    id: "TrashEmptyAll",
    method: "delete",
    path: "/trash",
    tag: "Trash",
    summary: "Remove for good all that was deleted",
    description:
      "What a host is at work on, what cannot be read, and files that nobody meant to delete are left.",
    answers: { 200: { description: "What is gone, and what is left", schema: EmptiedTrashSchema } },
    failures: ["storage", "unavailable", "timeout"],
  }, async () => respondJson(200, await answering("empty the trash", () => trash.emptyAll())));
}
