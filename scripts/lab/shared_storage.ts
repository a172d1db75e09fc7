import { fileURLToPath } from "node:url";
import { must } from "../command.ts";

const SOURCE = fileURLToPath(new URL("shared_storage.c", import.meta.url));

/** The file, in a host's /usr/local/lib, that {@link compileSharedStorage} makes. */
export const SHARED_STORAGE = "shared_storage.so";

/** Makes the library to be preloaded into libvirtd, see shared_storage.c. It takes a few milliseconds. */
export async function compileSharedStorage(library: string): Promise<void> {
  await must(["tcc", "-shared", "-nostdlib", "-o", library, SOURCE]);
}
