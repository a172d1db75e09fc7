import { z } from "@hono/zod-openapi";
import { ALWAYS_RESPONSIVE, type Responsive } from "../posix/files.ts";
import type { HostUseCases } from "../vm/use_cases.ts";
import type { Endpoints } from "./endpoints.ts";
import { onStorage } from "./on_storage.ts";
import { respondEmpty } from "./respond.ts";

const HostRemoveQuery = z.strictObject({
  force: z.enum(["true", "false"]).optional().openapi({
    description: "Also if VMs are registered there: they leave the lists with it, while their files stay",
  }),
});

/** What is done to hosts. */
export function addHostOperations(
  endpoints: Endpoints,
  o: { readonly hosts: HostUseCases; readonly storage?: Responsive | undefined },
): void {
  const { hosts, storage = ALWAYS_RESPONSIVE } = o;
  endpoints.add({
    id: "HostRemove",
    method: "delete",
    path: "/hosts/{uuid}",
    tag: "Hosts",
    summary: "Remove a host from the inventory that will not come back",
    description:
      "A host that is away stays in the inventory with its VMs, even when Serf has forgotten it, until it is removed. One that " +
      "is active is not removed, nor, unless forced, one where VMs are registered. Nothing is deleted on the storage. Should the " +
      "host come back, it is there again. To remove it again is fine.",
    query: HostRemoveQuery,
    answers: { 204: { description: "It is removed; the other hosts follow within a minute" } },
    failures: ["not_found", "conflict", "storage", "unavailable", "timeout"],
  }, async ({ uuid, query: { force } }) => {
    await onStorage(storage, `remove host ${uuid}`, () => hosts.remove(uuid, { force: force === "true" }));
    return respondEmpty(204);
  });
}
