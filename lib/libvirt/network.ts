import type { Connection } from "./connection.ts";
import { NetworkListFlag } from "./constants.ts";
import { borrowString, OutPointer, readPointers } from "./memory.ts";

/** virConnectListAllNetworks: the names of the virtual networks that guests can be connected to now. */
export async function activeNetworks(connection: Connection): Promise<string[]> {
  const { libvirt } = connection;
  const list = new OutPointer();
  const count = await connection.int((c) =>
    libvirt.virConnectListAllNetworks(c, list.buffer, NetworkListFlag.active)
  );
  const array = list.value;
  if (array === null) return [];
  try {
    return readPointers(array, count).map((network) => {
      const name = borrowString(libvirt.virNetworkGetName(network));
      libvirt.virNetworkFree(network);
      return name;
    });
  } finally {
    libvirt.free(array);
  }
}
