import { VirtxError } from "../../model/error.ts";
import { doEach } from "../changes/bulk.ts";
import { listed } from "../changes/listed.ts";
import { confirm } from "../changes/prompt.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { findTrash } from "../server/find_trash.ts";

/** `trash empty`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const words = input.words("entry");
  const all = input.flag("all");
  if (all === words.length > 0) throw new VirtxError("invalid", "Name entries of the trash, or give --all");
  const cluster = await context.cluster();
  const { items } = await cluster.trash();
  const vms = findTrash(all ? items.map(({ id }) => id) : words, items);
  if (vms.length === 0) {
    if (!context.options.quiet) context.err.line("The trash is empty.");
    return ExitCode.ok;
  }
  const question = `Remove for good what was deleted of ${listed(vms)}?`;
  if (!await confirm(context, question, input.flag("yes"))) return ExitCode.refused;
  return await doEach({ context, input, cluster, vms }, async (vm, { attendance }) => {
    await attendance.attend(`Emptying ${vm.name}`, async (attended) => {
      context.signal.throwIfAborted();
      attended.stage = { kind: "asked" };
      await cluster.emptyTrash(vm.id, input.flag("force"), { signal: attendance.cutOff });
    });
    return { vm, said: "removed for good", operation: undefined, state: "completed" };
  });
}
