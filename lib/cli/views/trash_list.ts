import type { Context } from "../context.ts";
import { amount, instant, instantOrNull } from "../output/human.ts";
import type { View } from "../output/printer.ts";
import type { TrashItem } from "../server/trash.ts";

/** Prints what is in the trash. */
export async function printTrash(
  context: Context,
  items: readonly TrashItem[],
  hostName: (uuid: string) => string,
): Promise<void> {
  if (items.length === 0 && context.options.format.kind === "table" && !context.options.quiet) {
    context.err.line("The trash is empty.");
  } else await context.printer.list(trashListView(hostName), items);
}

/** The trash as `trash list` prints it. */
export function trashListView(hostName: (uuid: string) => string): View<TrashItem> {
  const host = (item: TrashItem) => item.host === "" ? "-" : hostName(item.host);
  return {
    name: ({ id }) => id,
    columns: [
      { heading: "ID", text: ({ id }) => id, least: 9 },
      { heading: "VM", text: ({ name }) => name === "" ? "-" : name, least: 8 },
      { heading: "HOST", text: host, least: 8, spare: 3 },
      { heading: "DELETED", text: ({ deleted }) => instant(deleted), spare: 2 },
      { heading: "UNTIL", text: ({ until }) => instant(until), spare: 1 },
      { heading: "SIZE", text: ({ size }) => amount(size), right: true, spare: 4 },
      {
        heading: "PATHS",
        text: (item) => item.damage === "" ? pathsOf(item) : item.damage,
        style: (item) => isSound(item) ? undefined : "red",
        least: 12,
        wraps: true,
      },
    ],
    record: (item) => ({
      id: item.id,
      vm: item.name,
      vmuuid: item.vm,
      host: host(item),
      hostuuid: item.host,
      deleted: instantOrNull(item.deleted),
      until: instantOrNull(item.until),
      definition: item.definition,
      size: item.size,
      files: item.files,
      busy: item.busy,
      damage: item.damage,
    }),
  };
}

/** What is to be known of a file beside its path: whether the trash has it. */
function pathsOf({ files, busy }: TrashItem): string {
  const paths = files.map(({ path, state }) => {
    if (state === "kept") return path;
    return `${path} (${state === "missing" ? "gone" : "another file, which nobody deleted"})`;
  });
  return `${paths.join(", ")}${busy ? " (being restored or emptied)" : ""}`;
}

function isSound({ damage, files }: TrashItem): boolean {
  return damage === "" && files.every(({ state }) => state !== "foreign");
}
