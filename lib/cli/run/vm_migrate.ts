import { MigrationType, Runstate } from "../../model/enums.ts";
import { VirtxError } from "../../model/error.ts";
import { CONVERGENCE_MEASURES, type ConvergenceMeasure, type VmMigrateOptions } from "../../model/vm.ts";
import { changeEach } from "../changes/bulk.ts";
import type { Change } from "../changes/change.ts";
import { selectVms } from "../changes/select.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { parseDuration } from "../output/duration.ts";
import { plain } from "../output/plain.ts";
import { sizeOf } from "../output/size_flag.ts";
import type { Directory } from "../server/find.ts";
import type { VmItem } from "../server/vms.ts";
import { VERDICT_VIEW } from "../views/verdict_list.ts";

/** Migrations at a time: they share the same links. */
const PARALLEL = 2;

/** `vm migrate`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const { cluster, directory, vms } = await selectVms(context, input);
  const bulk = { context, input, cluster, vms, parallel: PARALLEL };
  if (input.flag("abort")) return await changeEach(bulk, aborting);
  const target = input.string("host");
  const host = target === undefined ? "" : directory.host(target).uuid;
  if (input.flag("dry-run")) {
    let fits = true;
    for (const vm of vms) {
      if (vms.length > 1) context.out.line(`${plain(vm.name)}:`);
      const verdicts = await cluster.verdicts(vm.uuid, options(vm, host, input));
      await context.printer.list(VERDICT_VIEW, verdicts);
      fits &&= verdicts.some((verdict) => verdict.fits);
    }
    return fits ? ExitCode.ok : ExitCode.refused;
  }
  return await changeEach(bulk, (vm) => migrating(vm, options(vm, host, input), directory));
}

function migrating(vm: VmItem, body: VmMigrateOptions, { hostName }: Directory): Change {
  const from = hostName(vm.host);
  const to = body.host === "" ? "" : ` to ${hostName(body.host)}`;
  return {
    vm,
    title: `Migrating ${vm.name}${to}`,
    method: "POST",
    path: `/vms/${vm.uuid}/runstate/migrate`,
    body,
    done: (result) => `migrated from ${from}${arrival(result, hostName) || to}`,
    begun: `migrating from ${from}${to}`,
  };
}

function aborting(vm: VmItem): Change {
  return {
    vm,
    title: `Aborting the migration of ${vm.name}`,
    method: "DELETE",
    path: `/vms/${vm.uuid}/runstate/migrate`,
    done: () => "migration aborted",
    begun: "aborting the migration",
  };
}

/** Where it is now, as the operation tells. */
function arrival(result: unknown, hostName: (uuid: string) => string): string {
  const host = typeof result === "object" && result !== null ? Reflect.get(result, "host") : undefined;
  return typeof host === "string" ? ` to ${hostName(host)}` : "";
}

function options(vm: VmItem, host: string, input: Input): VmMigrateOptions {
  const deadline = input.string("deadline");
  const connections = input.string("connections");
  const migration_type = typeOf(vm, input);
  const isCold = migration_type === MigrationType.cold;
  return {
    host,
    migration_type,
    convergence: measures(input.string("converge")),
    // Of several VMs some may be off: what is about sending memory does not concern them.
    ...(isCold ? { deadline: 0, bandwidth: 0, connections: 0 } : {
      deadline: deadline === undefined ? 0 : Math.ceil(parseDuration(deadline, "--deadline") / 1000),
      bandwidth: sizeOf(input, "bandwidth") ?? 0,
      connections: connections === undefined ? 0 : count(connections),
    }),
  };
}

/** Live what runs, cold what is off; unless the user insists, and is told by the server what is in the way. */
function typeOf({ runstate }: VmItem, input: Input): MigrationType {
  if (input.flag("live") && input.flag("cold")) {
    throw new VirtxError("invalid", "A migration is either --live or --cold");
  }
  if (input.flag("live")) return MigrationType.live;
  if (input.flag("cold")) return MigrationType.cold;
  return runstate === Runstate.poweroff || runstate === Runstate.crashed
    ? MigrationType.cold
    : MigrationType.live;
}

function measures(text: string | undefined): readonly ConvergenceMeasure[] {
  if (text === undefined) return ["downtime", "throttle"];
  return text.split(",").map((word) => {
    const measure = CONVERGENCE_MEASURES.find((known) => known === word.trim());
    if (measure !== undefined) return measure;
    throw new VirtxError(
      "invalid",
      `--converge must be some of ${CONVERGENCE_MEASURES.join(", ")}, not ${JSON.stringify(word)}`,
    );
  });
}

function count(text: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text);
  throw new VirtxError("invalid", `--connections must be a number, not ${JSON.stringify(text)}`);
}
