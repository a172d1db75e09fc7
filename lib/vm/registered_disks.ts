import { escapeXml } from "../domain_xml/element.ts";
import { ifReadable } from "../domain_xml/if_readable.ts";
import { parseSummary } from "../domain_xml/summary.ts";
import { writableDisks } from "../domain_xml/writable_disks.ts";
import { DiskDevice } from "../model/enums.ts";
import type { Disk } from "../model/vm.ts";
import type { Registry } from "../registry/registry.ts";
import type { DiskUsers } from "./disk_users.ts";

/**
 * Which VMs of other hosts have a disk, by what these have recorded on the shared storage; what VMs of this host have,
 * libvirt tells. All definitions are read, so this is for what is seldom: to take a disk that exists, and to delete one.
 *
 * It does not decide between two hosts that want one disk at the same instant; see DiskOwners.
 */
export class RegisteredDisks implements DiskUsers {
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
      const user = `VM "${ifReadable(() => parseSummary(xml).name) ?? vm}" (${vm}) of host ${
        this.#hostName(host)
      }, by ${file}`;
      for (const [path] of named) if (mayWrite(xml, path)) users.set(path, user);
    }
    return users;
  }
}

/** CD-ROMs are read-only and LUNs arbitrate by persistent reservations, so those may be shared; what has no path is none of ours. */
export function isExclusive(disk: Disk): boolean {
  return disk.device === DiskDevice.disk && disk.path.startsWith("/");
}

/** Whether a definition's VM may write to a disk; one that cannot be read may, if it names it. */
export function mayWrite(xml: string, path: string): boolean {
  if (!xml.includes(escapeXml(path))) return false;
  return disksOf(xml)?.includes(path) ?? true;
}

/** What a definition's VM writes to; undefined: the definition cannot be read. */
export function disksOf(xml: string): readonly string[] | undefined {
  return ifReadable(() => writableDisks(xml));
}
