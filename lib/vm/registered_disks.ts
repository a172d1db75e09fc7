import { escapeXml } from "../domain_xml/element.ts";
import { parseDomainXml } from "../domain_xml/parse.ts";
import { DiskDevice } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { allDisks, type Disk } from "../model/vm.ts";
import type { Registry } from "../registry/registry.ts";

/**
 * Which VMs of other hosts have a disk, by what these have recorded on the shared storage; what VMs of this host have,
 * libvirt tells. All definitions are read, so this is for what is seldom: to take a disk that exists, and to delete one.
 *
 * It does not decide between two hosts that want one disk at the same instant.
 */
export class RegisteredDisks {
  readonly #registry: Registry;
  readonly #hostName: (uuid: string) => string;

  /** @param hostName what a host is called, for messages */
  constructor(o: { readonly registry: Registry; readonly hostName: (uuid: string) => string }) {
    this.#registry = o.registry;
    this.#hostName = o.hostName;
  }

  /**
   * Those of the disks that a VM of another host may write to, each with whose it is, in words.
   * @param except the VM that wants them
   * @throws VirtxError `storage`, `unavailable`: it cannot be told
   */
  async users(paths: readonly string[], except: string): Promise<ReadonlyMap<string, string>> {
    const users = new Map<string, string>();
    if (paths.length === 0) return users;
    const texts = paths.map((path) => [path, escapeXml(path)] as const);
    for await (const { host, vm, xml, file } of this.#registry.ofOthers()) {
      if (vm === except) continue;
      const named = texts.filter(([, text]) => xml.includes(text));
      if (named.length === 0) continue;
      const { name, disks } = exclusiveDisks(xml);
      const user = `VM "${name ?? vm}" (${vm}) of host ${this.#hostName(host)}, by ${file}`;
      for (const [path] of named) if (disks === undefined || disks.includes(path)) users.set(path, user);
    }
    return users;
  }
}

/** CD-ROMs are read-only and LUNs arbitrate by persistent reservations, so those may be shared. */
export function isExclusive(disk: Disk): boolean {
  return disk.device === DiskDevice.disk && disk.path !== "";
}

/** The disks that a definition's VM may write to; undefined: it cannot be read, and may have any that it names. */
function exclusiveDisks(xml: string): { readonly name?: string; readonly disks?: readonly string[] } {
  try {
    const { def } = parseDomainXml(xml);
    return { name: def.name, disks: allDisks(def).filter(isExclusive).map(({ path }) => path) };
  } catch (error) {
    if (error instanceof VirtxError) return {};
    throw error;
  }
}
