import { VirtxError } from "../model/error.ts";
import { type Config, DEFAULT_SOCKET_GROUP } from "./settings.ts";

/** Where the groups of a host are (group(5)). */
const GROUP_FILE = "/etc/group";

/**
 * The id of the group that may open the socket. The group that nobody has named need not be there.
 * @returns undefined: only root may
 * @throws {VirtxError} unavailable, if there is no such group
 */
export async function socketGroup(
  { socket, socketGroup: name }: Pick<Config, "socket" | "socketGroup">,
  path = GROUP_FILE,
): Promise<number | undefined> {
  if (socket === null || name === null) return undefined;
  for (const line of (await Deno.readTextFile(path)).split("\n")) {
    const [group, _password, id = ""] = line.split(":");
    if (group === name && /^\d{1,10}$/.test(id)) return Number(id);
  }
  if (name === DEFAULT_SOCKET_GROUP) return undefined;
  throw new VirtxError("unavailable", `${path} has no group "${name}", which is to open the socket`);
}
