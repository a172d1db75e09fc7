import { fileURLToPath } from "node:url";

/** The built executable. */
export const EXECUTABLE = fileURLToPath(new URL("../../../dist/virtxd", import.meta.url));

/** Whether there is an executable to measure. */
export async function isBuilt(): Promise<boolean> {
  try {
    return (await Deno.stat(EXECUTABLE)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
