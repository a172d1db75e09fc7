import { HostState } from "../../model/enums.ts";
import { VirtxError } from "../../model/error.ts";
import { isUuid } from "../../model/uuid.ts";
import { Attendance } from "../changes/attendance.ts";
import { carryOut } from "../changes/change.ts";
import { outcomeLine } from "../changes/outcome.ts";
import { confirm } from "../changes/prompt.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { plain } from "../output/plain.ts";
import type { Named } from "../resolve.ts";
import { type Directory, directoryOf } from "../server/find.ts";

/** What a registration came to, by its result. */
const RESULTS: Readonly<Record<string, string>> = {
  defined: "defined in libvirt from the registry",
  locked: "defined in libvirt from the registry, which has no passwords: its screen lets nobody in until " +
    "virsh edit sets a new passwd without passwdValidTo",
};

/** `vm register`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const directory = await directoryOf(cluster);
  const { vm, own, away } = await find(input.required("vm"), directory);
  const wanted = input.string("host");
  const host = wanted === undefined ? own ?? "" : directory.host(wanted).uuid;
  const question = own === undefined
    ? takeUnknown(vm)
    : away && host !== own
    ? takeOver(vm, directory.hostName(own))
    : undefined;
  if (question !== undefined && !await confirm(context, question, input.flag("yes"))) return ExitCode.refused;
  await using attendance = await Attendance.begin(context, cluster, [vm.name]);
  const outcome = await carryOut({
    vm,
    title: `Registering ${vm.name}`,
    method: "PUT",
    path: `/vms/${vm.uuid}/register`,
    body: { host },
    done: (result) => typeof result === "string" && RESULTS[result] || "registered",
    begun: "registering",
  }, { context, cluster, attendance, leave: false });
  if (!context.options.quiet) attendance.say(outcomeLine(outcome));
  return ExitCode.ok;
}

/** Two guests would write to the same disks. */
function takeOver({ name }: Named, host: string): string {
  return `Host ${plain(host)} is away, and nobody can tell whether ${
    plain(name)
  } runs there still; started twice, it destroys ` +
    `its disks. Is it sure that it does not run there?`;
}

/** It may be one of a host that was removed from the inventory, or that nobody has heard of yet, and that runs all the same. */
function takeUnknown({ name }: Named): string {
  return `No host says that it has ${
    plain(name)
  }, and nobody can tell whether it runs somewhere; started twice, it destroys ` +
    `its disks. Is it sure that it does not run?`;
}

/**
 * One that the cluster knows, with its host, and whether that is away; or any other UUID, which the registry may have: its host
 * is undefined.
 */
async function find(
  word: string,
  directory: Directory,
): Promise<{ readonly vm: Named; readonly own: string | undefined; readonly away: boolean }> {
  try {
    const vm = await directory.vm(word);
    return { vm, own: vm.host, away: vm.cstate !== HostState.active };
  } catch (error) {
    const isUnknown = error instanceof VirtxError && error.kind === "not_found" && isUuid(word.toLowerCase());
    if (!isUnknown) throw error;
    return { vm: { uuid: word.toLowerCase(), name: word.toLowerCase() }, own: undefined, away: false };
  }
}
