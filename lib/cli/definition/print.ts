import {
  DiskBus,
  DiskDevice,
  DiskManagement,
  DiskProvisioning,
  Firmware,
  NetModel,
  NetType,
} from "../../model/enums.ts";
import { type Cpudef, type Disk, type Net, type Vmdef } from "../../model/vm.ts";
import { formatSize } from "../output/units.ts";
import { completeDisk } from "./disks.ts";
import type { Format } from "./format.ts";
import { wordOf } from "./words.ts";

/**
 * A definition as text, in words and units; what is read back from it is the same definition.
 *
 * @param comments whether to say, where the format has comments (YAML), what else a word could be
 */
export async function printDefinition(
  def: Vmdef,
  format: Format,
  { comments = false } = {},
): Promise<string> {
  const tree = definitionTree(def);
  switch (format) {
    case "json":
      return JSON.stringify(tree, undefined, 2) + "\n";
    case "yaml":
      return (await import("./print_yaml.ts")).printYaml(tree, comments);
    case "toml": {
      const { stringify } = await import("smol-toml");
      return stringify(tree).trimStart();
    }
  }
}

/** The values of a definition as it is printed: all that matters, and nothing that goes without saying. */
export function definitionTree(def: Vmdef): Record<string, unknown> {
  const { name, memory, osdisk, disks, nets, vlanid, numa, genid, custom } = def;
  // In a list of disks, the first that is no CD-ROM is the OS disk.
  const named = osdisk.device === DiskDevice.cdrom;
  const list = (named ? disks : [osdisk, ...disks]).map(diskTree);
  return {
    name,
    cpus: cpuTree(def.cpudef),
    memory: memory.hp ? { size: sizeText(memory.total), hugepages: true } : sizeText(memory.total),
    firmware: wordOf(Firmware, def.firmware),
    ...(named && { osdisk: diskTree(osdisk) }),
    ...(list.length > 0 && { disks: list }),
    ...(nets.length > 0 && { nets: nets.map(netTree) }),
    ...(vlanid !== 0 && { vlan: vlanid }),
    ...(numa.placement && { numa: { placement: true } }),
    ...(genid !== "" && { genid }),
    ...(custom.length > 0 && { custom: customTree(custom) }),
  };
}

function sizeText(mib: number): string {
  return formatSize(mib, "");
}

function cpuTree({ model, nodes, sockets, cores, threads }: Cpudef): unknown {
  return {
    model,
    ...(nodes !== 1 && { nodes }),
    ...(sockets !== 1 && { sockets }),
    cores,
    ...(threads !== 1 && { threads }),
  };
}

function diskTree(disk: Disk): unknown {
  const { path, size, device, bus, man, prov } = disk;
  const implied = completeDisk({ path, size, device, bus, man });
  return {
    path,
    ...(size !== 0 && { size: sizeText(size) }),
    ...(device !== completeDisk({ path }).device || device !== DiskDevice.disk
      ? { device: wordOf(DiskDevice, device) }
      : {}),
    bus: wordOf(DiskBus, bus),
    management: wordOf(DiskManagement, man),
    ...(prov !== DiskProvisioning.none || implied.prov !== prov
      ? { provisioning: wordOf(DiskProvisioning, prov) }
      : {}),
  };
}

function netTree({ name, nettype, model, mac }: Net): unknown {
  return {
    ...(nettype === NetType.bridge ? { bridge: name } : { network: name }),
    model: wordOf(NetModel, model),
    ...(mac !== "" && { mac }),
  };
}

/** As a table, if that keeps all of them and their order: JavaScript puts keys that are numbers first. */
function customTree(custom: Vmdef["custom"]): unknown {
  const table = Object.fromEntries(custom.map(({ name, value }) => [name, value]));
  const names = Object.keys(table);
  const kept = names.length === custom.length && custom.every(({ name }, index) => name === names[index]);
  return kept ? table : custom;
}
