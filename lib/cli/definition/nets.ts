import { NetModel, NetType } from "../../model/enums.ts";
import type { Net } from "../../model/vm.ts";
import type { Field } from "./field.ts";
import type { Naming } from "./names.ts";

/** The keys of a network interface, and how the API spells them. */
export const NET_KEYS = { bridge: [], network: [], name: [], type: ["nettype"], model: [], mac: [] } as const;

/**
 * `{bridge: br0}`, `{network: default}`, or the API's name and type.
 *
 * @param sparse whether a name without a type is that of a network, as the API has it
 */
export function readNet(field: Field, sparse: boolean): { net: Net; naming: Naming } {
  const table = field.table(NET_KEYS, "a table such as {bridge: br0} or {network: default}");
  const bridge = table?.get("bridge")?.text();
  const network = table?.get("network")?.text();
  const name = table?.get("name")?.text();
  const type = table?.get("type")?.word(NetType);
  const given = (["bridge", "network", "name"] as const).filter((key) => table?.get(key) !== undefined);
  if (given.length !== 1 && !field.faulty) field.refuse("must name either a bridge or a network");
  if (given[0] === "name" && type === undefined && !sparse && table?.get("type") === undefined) {
    field.refuse("must say whether the name is that of a bridge or of a network");
  }
  if (given[0] !== "name" && table?.get("type") !== undefined) {
    field.refuse("must have a type only beside a name");
  }
  const net = {
    name: bridge ?? network ?? name ?? "",
    nettype: type ?? (bridge === undefined ? NetType.network : NetType.bridge),
    model: table?.get("model")?.word(NetModel) ?? NetModel.virtio,
    mac: table?.get("mac")?.text()?.toLowerCase() ?? "",
  };
  const naming = table?.naming ?? field.naming;
  return { net, naming: (key) => naming(key === "name" ? given[0] : key) };
}
