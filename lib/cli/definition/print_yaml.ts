import { Document, isScalar } from "yaml";
import {
  DiskBus,
  DiskDevice,
  DiskManagement,
  DiskProvisioning,
  Firmware,
  NetModel,
} from "../../model/enums.ts";
import { type Enumeration, wordsOf } from "./words.ts";

/** Values as YAML, which tools of YAML 1.1 read alike: it puts `no` in quotes. Long lines are not broken. */
export function printYaml(tree: unknown, comments: boolean): string {
  const document = new Document(tree, { version: "1.2", schema: "core", compat: "yaml-1.1" });
  for (const [path, comment] of comments ? COMMENTS : []) {
    const node = document.getIn(path, true);
    if (isScalar(node)) node.comment = ` ${comment}`;
  }
  return document.toString({ lineWidth: 0 });
}

/** What could be in the place of a word, at the first of each kind. */
const COMMENTS: readonly (readonly [path: readonly (string | number)[], comment: string])[] = [
  [["cpus", "model"], "host-model, host-passthrough, maximum, or a model's name"],
  [["memory"], "on hugepages: {size: 2GiB, hugepages: true}"],
  [["firmware"], anyOf(Firmware)],
  [["disks", 0, "device"], anyOf(DiskDevice)],
  [["disks", 0, "bus"], anyOf(DiskBus)],
  [["disks", 0, "management"], anyOf(DiskManagement)],
  [["disks", 0, "provisioning"], anyOf(DiskProvisioning)],
  [["nets", 0, "model"], anyOf(NetModel)],
];

function anyOf(enumeration: Enumeration): string {
  return wordsOf(enumeration).join(", ");
}
