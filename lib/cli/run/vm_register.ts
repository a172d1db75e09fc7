import { VirtxError } from "../../model/error.ts";
import { isUuid } from "../../model/uuid.ts";
import { Attendance } from "../changes/attendance.ts";
import { carryOut } from "../changes/change.ts";
import { outcomeLine } from "../changes/outcome.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import type { Named } from "../resolve.ts";
import { type Directory, directoryOf } from "../server/find.ts";

/** `vm register`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const directory = await directoryOf(cluster);
  const { vm, own } = find(input.required("vm"), directory);
  const wanted = input.string("host");
  const host = wanted === undefined ? own : directory.host(wanted).uuid;
  await using attendance = await Attendance.begin(context, cluster, [vm.name]);
  const outcome = await carryOut({
    vm,
    title: `Registering ${vm.name}`,
    method: "PUT",
    path: `/vms/${vm.uuid}/register`,
    body: { host },
    done: (result) => result === "defined" ? "defined in libvirt from the registry" : "registered",
    begun: "registering",
  }, { context, cluster, attendance, leave: false });
  if (!context.options.quiet) attendance.say(outcomeLine(outcome));
  return ExitCode.ok;
}

/** One that the cluster knows, with its host; or any other UUID, which the registry may have. */
function find(word: string, directory: Directory): { readonly vm: Named; readonly own: string } {
  try {
    const vm = directory.vm(word);
    return { vm, own: vm.host };
  } catch (error) {
    const isUnknown = error instanceof VirtxError && error.kind === "not_found" && isUuid(word.toLowerCase());
    if (!isUnknown) throw error;
    return { vm: { uuid: word.toLowerCase(), name: word.toLowerCase() }, own: "" };
  }
}
