import { NetModel, NetType } from "../../model/enums.ts";
import type { Net } from "../../model/vm.ts";
import type { Field } from "./field.ts";
import type { Naming } from "./names.ts";

/** The keys of a network interface, and how the API spells them. */
const NET_KEYS = { bridge: [], network: [], name: [], type: ["nettype"], model: [], mac: [] } as const;

/**
 * `{bridge: br0}`, `{network: default}`, or the API's name and type.
 *
 * @param sparse whether a name without a type is that of a network, as the API has it
 * @param known interfaces that may be meant by their MAC addresses, and then keep what is not said of them
 */
export function readNet(field: Field, sparse: boolean, known: readonly Net[]): { net: Net; naming: Naming } {
  const table = field.table(NET_KEYS, "a table such as {bridge: br0} or {network: default}");
  const mac = table?.get("mac")?.text()?.toLowerCase() ?? "";
  const model = table?.get("model")?.word(NetModel);
  const type = table?.get("type")?.word(NetType);
  const given = (["bridge", "network", "name"] as const).filter((key) => table?.get(key) !== undefined);
  const [key] = given;
  const name = key && table?.get(key)?.text();
  const meant = mac === "" ? undefined : known.find((net) => net.mac === mac);
  if (!field.faulty) {
    const typed = type !== undefined;
    if (given.length > 1 || key === undefined && meant === undefined) {
      field.refuse("must name either a bridge or a network");
    } else if (key === "name" && !typed && !sparse) {
      field.refuse("must say whether the name is that of a bridge or of a network");
    } else if (key !== "name" && typed) field.refuse("must have a type only beside a name");
  }
  const naming = table?.naming ?? field.naming;
  return {
    net: {
      name: name ?? meant?.name ?? "",
      nettype: key === undefined && meant ? meant.nettype : type ?? TYPES[key ?? "name"],
      model: model ?? meant?.model ?? NetModel.virtio,
      mac,
    },
    naming: (wanted) => naming(wanted === "name" ? key : wanted),
  };
}

/** What is meant without a type. */
const TYPES = { bridge: NetType.bridge, network: NetType.network, name: NetType.network } as const;
