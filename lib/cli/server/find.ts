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
  /** The VM that a word names, by host/name, too; see resolve. */
  readonly vm: (word: string) => VmItem;
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
    vm: (word) => {
      try {
        return resolve(word, vms, "VM", distinction);
      } catch (error) {
        if (incomplete === undefined || !(error instanceof VirtxError) || error.kind !== "not_found") {
          throw error;
        }
        throw new VirtxError("unavailable", `${error.message} that is known; but ${incomplete}`, {
          cause: error,
        });
      }
    },
    host: (word) => resolve(word, hosts, "host"),
  };
}

/** The VM that a word names, and what hosts are called. */
export async function findVm(
  cluster: Cluster,
  word: string,
): Promise<VmItem & { readonly hostName: (uuid: string) => string }> {
  const directory = await directoryOf(cluster);
  return { ...directory.vm(word), hostName: directory.hostName };
}
