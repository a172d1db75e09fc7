import { Fields } from "./fields.ts";
import { type HostDetails, type HostItem, readHost, readHostItem } from "./hosts.ts";
import type { Server } from "./server.ts";
import { readVm, readVmItem, type VmDetails, type VmItem } from "./vms.ts";

/** Query parameters; those that are undefined are left out. */
export type Query = Readonly<Record<string, string | undefined>>;

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

  async vm(uuid: string): Promise<VmDetails> {
    return readVm((await this.server.request("GET", `/vms/${uuid}`)).body);
  }

  async host(uuid: string): Promise<HostDetails> {
    return readHost((await this.server.request("GET", `/hosts/${uuid}`)).body);
  }
}

/** A path with the parameters that are given. */
export function withQuery(path: string, query: Query): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, value);
  return given.size === 0 ? path : `${path}?${given}`;
}
