import { HostState } from "../../model/enums.ts";
import { VirtxError } from "../../model/error.ts";
import { resolve } from "../resolve.ts";
import { runstateWord } from "../views/words.ts";
import type { Cluster } from "./cluster.ts";
import { hostNames } from "./host_names.ts";
import type { HostItem } from "./hosts.ts";
import type { VmItem } from "./vms.ts";

/** What the cluster has, read once for a command, so that words can be taken for VMs and hosts. */
export interface Directory {
  readonly vms: readonly VmItem[];
  readonly hosts: readonly HostItem[];
  readonly hostName: (uuid: string) => string;
  /** The VM that a word names, by host/name, too, see resolve; or by its name in libvirt, if it is not called so here. */
  readonly vm: (word: string) => Promise<VmItem>;
  /** The host that a word names. */
  readonly host: (word: string) => HostItem;
}

/** Reads both lists. */
export async function directoryOf(cluster: Cluster): Promise<Directory> {
  const [vms, hosts] = await Promise.all([cluster.vms(), cluster.hosts()]);
  const { incomplete } = cluster.server;
  const hostName = hostNames(hosts);
  const distinction = {
    path: ({ host, name }: VmItem) => `${hostName(host)}/${name}`,
    about: ({ runstate }: VmItem) => runstateWord(runstate),
  };
  return {
    vms,
    hosts,
    hostName,
    vm: async (word) => {
      try {
        return resolve(word, vms, "VM", distinction);
      } catch (error) {
        if (!(error instanceof VirtxError) || error.kind !== "not_found") throw error;
        const named = await calledByLibvirt(word, cluster, hosts);
        const candidates = vms.filter(({ uuid }) => named.has(uuid)).map((vm) => ({
          ...vm,
          name: word,
          title: vm.name,
        }));
        if (candidates.length > 0) {
          const { title, ...vm } = resolve(word, candidates, "VM", {
            path: distinction.path,
            about: ({ title, runstate }) => `${title}  ${runstateWord(runstate)}`,
          });
          return { ...vm, name: title };
        }
        if (incomplete === undefined) throw error;
        throw new VirtxError("unavailable", `${error.message} that is known; but ${incomplete}`, {
          cause: error,
        });
      }
    },
    host: (word) => resolve(word, hosts, "host"),
  };
}

/** The VMs that the libvirt of any host calls so. A host that cannot be asked has none. */
async function calledByLibvirt(
  name: string,
  cluster: Cluster,
  hosts: readonly HostItem[],
): Promise<ReadonlySet<string>> {
  if (name === "") return new Set();
  const active = hosts.filter(({ cstate }) => cstate === HostState.active);
  const found = await Promise.all(active.map(async ({ uuid }) => {
    try {
      return await cluster.domains(uuid, name);
    } catch (error) {
      if (error instanceof VirtxError) return [];
      throw error;
    }
  }));
  return new Set(found.flat());
}

/** The VM that a word names, and what hosts are called. */
export async function findVm(
  cluster: Cluster,
  word: string,
): Promise<VmItem & { readonly hostName: (uuid: string) => string }> {
  const directory = await directoryOf(cluster);
  return { ...await directory.vm(word), hostName: directory.hostName };
}
