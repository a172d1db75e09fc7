import { Attendance } from "../changes/attendance.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import { shortFailure } from "../failure.ts";
import type { Input } from "../input.ts";
import { directoryOf } from "../server/find.ts";
import { findOperations } from "../server/find_operation.ts";
import { vmNames } from "../views/operation_list.ts";

/** `operation wait`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const [directory, ids] = await Promise.all([
    directoryOf(cluster),
    findOperations(cluster, input.words("operation")),
  ]);
  const nameOf = vmNames(directory);
  let failed = 0;
  await using attendance = await Attendance.begin(context, cluster, directory.vms.map(({ name }) => name));
  await Promise.all(ids.map(async (id) => {
    const { op, vm } = await cluster.operation(id);
    const title = `${op} of ${nameOf(vm)}`;
    try {
      await attendance.attend(title, (attended) => attendance.end(id, attended));
      if (!context.options.quiet) attendance.say(`${id}: ${title} completed`);
    } catch (error) {
      if (context.signal.aborted) throw error;
      failed++;
      if (ids.length === 1) throw error;
      attendance.complain(`${id}: ${title}: ${shortFailure(error)}`);
    }
  }));
  return failed > 0 ? ExitCode.refused : ExitCode.ok;
}
