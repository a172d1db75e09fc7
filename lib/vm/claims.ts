import { parseDomainXml } from "../domain_xml/parse.ts";
import { escapeXml } from "../domain_xml/element.ts";
import type { HostMonitor } from "../host/monitor.ts";
import { DiskDevice } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { allDisks, type Disk, type Vmdef } from "../model/vm.ts";
import { namedDisks } from "./disks.ts";

/**
 * Who writes to which disk on this host. Two guests that write to one image destroy it, so a disk belongs to one VM;
 * CD-ROMs are read-only and LUNs arbitrate by persistent reservations, so those may be shared.
 */
export class DiskClaims {
  readonly #monitor: HostMonitor;
  /** Paths in changes under way, and the VM that is to have each. */
  readonly #taken = new Map<string, string>();

  constructor(monitor: HostMonitor) {
    this.#monitor = monitor;
  }

  /**
   * Claims the disks of a definition for a VM until the handle is disposed. Throws conflict, naming each field, if another
   * VM has one of them or is just getting it.
   */
  take(vm: string, def: Vmdef): Disposable {
    const exclusive = namedDisks(def).filter(([, disk]) => isExclusive(disk));
    const issues = exclusive.flatMap(([field, { path }]) => {
      const user = this.#taken.get(path) ?? this.userOf(path, vm);
      return user === undefined || user === vm
        ? []
        : [{ field: `${field}.path`, message: `VM ${user} uses it` }];
    });
    if (issues.length > 0) {
      throw new VirtxError("conflict", `Cannot give VM "${def.name}" a disk that another VM uses`, {
        issues,
      });
    }
    const paths = exclusive.map(([, disk]) => disk.path).filter((path) => !this.#taken.has(path));
    for (const path of paths) this.#taken.set(path, vm);
    return {
      [Symbol.dispose]: () => {
        for (const path of paths) this.#taken.delete(path);
      },
    };
  }

  /** Another VM of this host than `except` that has the disk. */
  userOf(path: string, except: string): string | undefined {
    // Most definitions do not even contain the text, which is far quicker to see than to parse them.
    const text = escapeXml(path);
    for (const { uuid, xml } of this.#monitor.domains()) {
      if (uuid === except || !xml.includes(text)) continue;
      if (usesDisk(xml, path)) return uuid;
    }
    return undefined;
  }
}

/** Whether a definition that has the path in it has it as that of a disk; one that cannot be read may. */
function usesDisk(xml: string, path: string): boolean {
  let parsed;
  try {
    parsed = parseDomainXml(xml);
  } catch (error) {
    if (error instanceof VirtxError) return true;
    throw error;
  }
  return allDisks(parsed.def).some((disk) => disk.path === path && isExclusive(disk));
}

function isExclusive(disk: Disk): boolean {
  return disk.device === DiskDevice.disk;
}
