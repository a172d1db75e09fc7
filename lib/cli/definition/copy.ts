import { DiskManagement, DiskProvisioning } from "../../model/enums.ts";
import { VirtxError } from "../../model/error.ts";
import { DEVICES_ROOT, IMAGES_ROOT, isBelow } from "../../model/paths.ts";
import { allDisks, type Disk, type Vmdef } from "../../model/vm.ts";
import { newPath } from "./disks.ts";

/**
 * Makes the definition of one VM that of another: like it in all but what only one may have. Disks that virtxd manages
 * become new ones of the same sizes, empty, in a directory of the new name; interfaces get MAC addresses and the VM a
 * generation id of its own. What virtxd does not manage, such as an installation image, is used as it is.
 *
 * @param name of the new VM
 * @throws VirtxError invalid, naming each disk that cannot be made anew
 */
export function copyDefinition(def: Vmdef, name: string): Vmdef {
  const taken = new Set(allDisks(def).map(({ path }) => path));
  const impossible: string[] = [];
  const [osdisk = def.osdisk, ...disks] = allDisks(def).map((disk): Disk => {
    if (disk.man !== DiskManagement.managed) return disk;
    const path = isBelow(disk.path, DEVICES_ROOT) ? undefined : copiedPath(disk, def.name, name, taken);
    if (path === undefined || disk.size === 0) {
      impossible.push(disk.path);
      return disk;
    }
    taken.add(path);
    return { ...disk, path, prov: disk.prov === DiskProvisioning.none ? DiskProvisioning.thin : disk.prov };
  });
  if (impossible.length > 0) {
    throw new VirtxError(
      "invalid",
      `Cannot make VM "${name}" like "${def.name}": ${
        impossible.join(" and ")
      } cannot be made anew without a size, ` +
        "or on a block device. Give the definition another disk first",
    );
  }
  return {
    ...def,
    name,
    osdisk,
    disks,
    nets: def.nets.map((net) => ({ ...net, mac: "" })),
    genid: def.genid === "" ? "" : "auto",
  };
}

/** In the directory of the new name under its own, if it was in that of the old one; else under the next free name there. */
function copiedPath(disk: Disk, from: string, to: string, taken: ReadonlySet<string>): string | undefined {
  const old = `${IMAGES_ROOT}/${from}`;
  const fresh = newPath(disk, to, taken);
  if (fresh === undefined) return undefined;
  const same = isBelow(disk.path, old) ? `${IMAGES_ROOT}/${to}${disk.path.slice(old.length)}` : fresh;
  return taken.has(same) ? fresh : same;
}
