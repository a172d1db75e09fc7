import { doEach } from "../changes/bulk.ts";
import type { Context } from "../context.ts";
import type { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { counted } from "../output/human.ts";
import { findTrash } from "../server/find_trash.ts";
import { directoryOf } from "../server/find.ts";
import type { Restored } from "../server/trash.ts";

/** `trash restore`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const wanted = input.string("host");
  const host = wanted === undefined ? "" : (await directoryOf(cluster)).host(wanted).uuid;
  const vms = findTrash(input.words("entry"), (await cluster.trash()).items);
  return await doEach({ context, input, cluster, vms }, async (vm, { attendance }) => {
    const restored = await attendance.attend(`Restoring ${vm.name}`, async (attended) => {
      context.signal.throwIfAborted();
      attended.stage = { kind: "asked" };
      return await cluster.restore(vm.id, host, { signal: attendance.cutOff });
    });
    return { vm, said: wordsFor(restored), operation: undefined, state: "completed" };
  });
}

function wordsFor({ vm, files, warnings }: Restored): string {
  const what = vm === "" ? "" : "defined again, with ";
  return [`restored: ${what}${counted(files.length, "file")}`, ...warnings].join("; ");
}
