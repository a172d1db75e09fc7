import type { Reply, RequestOptions } from "../../api/client.ts";
import { VirtxError } from "../../model/error.ts";
import { HostState, Runstate } from "../../model/enums.ts";
import type { MigrationInfo, MigrationVerdict } from "../../model/vm.ts";
import { Fields } from "./fields.ts";
import { type HostDetails, type HostItem, readHost, readHostItem } from "./hosts.ts";
import { readMigration, readVerdict } from "./migrations.ts";
import { type OperationItem, readOperation } from "./operations.ts";
import type { Server } from "./server.ts";
import { readRestored, readTrashItem, type Restored, type TrashList } from "./trash.ts";
import { oneOf, readVm, readVmItem, type VmDetails, type VmItem } from "./vms.ts";

/** Query parameters; those that are undefined are left out. */
export type Query = Readonly<Record<string, string | undefined>>;

/** Operations, and the active hosts whose operations may be missing, with the reasons. */
export interface OperationList {
  readonly items: readonly OperationItem[];
  readonly missing: readonly { readonly name: string; readonly reason: string }[];
}

/** Where a VM is and how, as any host knows it. */
export interface VmWhereabouts {
  readonly runstate: Runstate;
  readonly lastrunstate: Runstate;
  /** UUID. */
  readonly host: string;
  readonly cstate: HostState;
}

/** How long one answer may take that is waited for; a change is asked for so that it is answered within a second. */
const CHANGE_MS = 120_000;

/** What can be asked of the cluster, with types. */
export class Cluster {
  constructor(readonly server: Server) {}

  async vms(query: Query = {}): Promise<readonly VmItem[]> {
    const { body } = await this.server.request("GET", withQuery("/vms", query));
    return new Fields(body, "the list of VMs").list("items").map(readVmItem);
  }

  async hosts(query: Query = {}): Promise<readonly HostItem[]> {
    const { body } = await this.server.request("GET", withQuery("/hosts", query));
    return new Fields(body, "the list of hosts").list("items").map(readHostItem);
  }

  /** What is wrong with the host that is asked, in its words; none, if nothing is. */
  async faults(): Promise<readonly string[]> {
    try {
      const { body } = await this.server.request("GET", "/readyz");
      const degraded = new Fields(body, "whether the host is ready").raw("degraded");
      return Array.isArray(degraded) ? degraded.map(String) : [];
    } catch (error) {
      if (error instanceof VirtxError && error.kind === "unavailable") return [error.message];
      if (error instanceof VirtxError && error.kind === "unimplemented") return []; // the prototype tells nothing of the kind
      throw error;
    }
  }

  async vm(uuid: string): Promise<VmDetails> {
    const { body, headers } = await this.server.request("GET", `/vms/${uuid}`);
    return { ...readVm(body), tag: headers.get("etag") ?? undefined };
  }

  /**
   * The UUIDs of the VMs of a host that libvirt calls so.
   * @throws VirtxError not_found: that host is of an earlier version, which does not tell
   */
  async domains(host: string, name: string): Promise<readonly string[]> {
    const { body } = await this.server.request("GET", withQuery(`/hosts/${host}/domains`, { name }));
    return new Fields(body, "the domains of a host").list("items").map((item) => item.text("uuid"));
  }

  async host(uuid: string): Promise<HostDetails> {
    return readHost((await this.server.request("GET", `/hosts/${uuid}`)).body);
  }

  async whereabouts(uuid: string): Promise<VmWhereabouts> {
    const { body } = await this.server.request("GET", `/vms/${uuid}/runstate`);
    const fields = new Fields(body, "the run state");
    const runstate = oneOf(Runstate, fields.number("runstate"));
    return {
      runstate,
      lastrunstate: oneOf(Runstate, fields.numberOr("lastrunstate", runstate)),
      host: fields.text("host"),
      cstate: oneOf(HostState, fields.numberOr("cstate", HostState.active)),
    };
  }

  async migration(uuid: string): Promise<MigrationInfo> {
    return readMigration((await this.server.request("GET", `/vms/${uuid}/runstate/migrate`)).body);
  }

  /** What each host says to taking a VM, the best one first. */
  async verdicts(uuid: string, options: unknown): Promise<readonly MigrationVerdict[]> {
    const path = `/vms/${uuid}/runstate/migrate?dry_run=true`;
    const { body } = await this.server.request("POST", path, options);
    if (!Array.isArray(body)) throw new VirtxError("internal", "The server's answer is no list of hosts");
    return body.map((item) => readVerdict(new Fields(item, "what a host says")));
  }

  async operation(id: string): Promise<OperationItem> {
    const { body } = await this.server.request("GET", `/operations/${id}`);
    return readOperation(new Fields(body, "the operation"));
  }

  async operations(query: Query = {}): Promise<OperationList> {
    const { body } = await this.server.request("GET", withQuery("/operations", query));
    const list = new Fields(body, "the list of operations");
    return {
      items: list.list("items").map(readOperation),
      missing: list.list("missing").map((host) => ({ name: host.text("name"), reason: host.text("reason") })),
    };
  }

  /**
   * What was deleted and can be restored.
   * @param query host: the one that is to answer
   * @throws VirtxError not_found: that host is of an earlier version, which has no trash
   */
  async trash(query: Query = {}): Promise<TrashList> {
    const { body } = await this.server.request("GET", withQuery("/trash", query));
    const list = new Fields(body, "the trash");
    return { hours: list.number("hours"), items: list.list("items").map(readTrashItem) };
  }

  /** Puts back what was deleted; the VM is defined on that host (empty: the server's). */
  async restore(id: string, host: string, options: RequestOptions = {}): Promise<Restored> {
    const path = `/trash/${id}/restore`;
    const { body } = await this.server.request("POST", path, { host }, { timeoutMs: CHANGE_MS, ...options });
    return readRestored(new Fields(body, "what was restored"));
  }

  /** Removes for good what was deleted. */
  async emptyTrash(id: string, force: boolean, options: RequestOptions = {}): Promise<void> {
    const path = withQuery(`/trash/${id}`, { force: force ? "true" : undefined });
    await this.server.request("DELETE", path, undefined, { timeoutMs: CHANGE_MS, ...options });
  }

  /** Has the cluster forget a host that is away; by force also if VMs are registered there. */
  async removeHost(uuid: string, force: boolean, options: RequestOptions = {}): Promise<void> {
    const path = withQuery(`/hosts/${uuid}`, { force: force ? "true" : undefined });
    await this.server.request("DELETE", path, undefined, { timeoutMs: CHANGE_MS, ...options });
  }

  /** Has an operation given up; resolves when it has ended. */
  async cancel(id: string, options: RequestOptions = {}): Promise<void> {
    await this.server.request("DELETE", `/operations/${id}`, undefined, { timeoutMs: CHANGE_MS, ...options });
  }

  /**
   * Asks for a change; answered when it is done, or has begun and lasts longer than a moment. Should the answer get lost, the
   * server knows the request by its key.
   */
  async change(method: string, path: string, body: unknown, options: RequestOptions = {}): Promise<Reply> {
    return await this.server.request(method, path, body, {
      timeoutMs: CHANGE_MS,
      ...options,
      headers: { "idempotency-key": crypto.randomUUID(), ...options.headers },
    });
  }
}

/** A path with the parameters that are given. */
export function withQuery(path: string, query: Query): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, value);
  return given.size === 0 ? path : `${path}?${given}`;
}
