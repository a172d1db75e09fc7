import type { LabHost } from "./host.ts";

/**
 * The files below a host's /vms/ds that are not in the trash, a line each.
 * @param printed how, as find(1) has it for -printf
 */
export async function imagesOf(host: LabHost, printed = "%p\\n"): Promise<string> {
  const outsideTrash = ["-name", ".virtxd", "-prune", "-o", "-type", "f"];
  return (await host.exec(["find", "/vms/ds", ...outsideTrash, "-printf", printed])).trim();
}
