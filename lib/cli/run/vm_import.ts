import { VirtxError } from "../../model/error.ts";
import { Attendance } from "../changes/attendance.ts";
import { carryOut, leaves } from "../changes/change.ts";
import { readText } from "../changes/definition.ts";
import { outcomeLine } from "../changes/outcome.ts";
import { confirm } from "../changes/prompt.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { plain } from "../output/plain.ts";
import { type Cluster, withQuery } from "../server/cluster.ts";
import { directoryOf } from "../server/find.ts";
import { readImport } from "../server/imports.ts";
import { IMPORT_VIEW, importLines } from "../views/import_list.ts";

/** `vm import`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const { err, options, printer } = context;
  const yes = input.flag("yes");
  const cluster = await context.cluster();
  const body = await wanted(cluster, input);
  const query = { duplicate_name: input.flag("allow-duplicate-name") ? "allow" : undefined };
  const { body: told } = await cluster.server.request(
    "POST",
    withQuery("/vms/import", { ...query, dry_run: "true" }),
    body,
  );
  const verdict = readImport(told);
  const isDry = input.flag("dry-run");
  if (isDry || !options.quiet) await printer.list(IMPORT_VIEW, importLines(verdict));
  const { name: host, vmname, fits } = verdict;
  if (!fits) {
    err.line(`Host ${plain(host)} would refuse this.`);
    return ExitCode.refused;
  }
  if (isDry) {
    if (!options.quiet) err.line(`Host ${plain(host)} can do this; nothing was done.`);
    return ExitCode.ok;
  }
  if (!await confirm(context, `Import ${plain(vmname)} on host ${plain(host)}?`, yes)) {
    return ExitCode.refused;
  }
  await using attendance = await Attendance.begin(context, cluster, [vmname]);
  let uuid = verdict.vm;
  const outcome = await carryOut({
    vm: { uuid, name: vmname },
    title: `Importing ${vmname}`,
    method: "POST",
    path: withQuery("/vms/import", query),
    body,
    done: (result) => {
      uuid = String(result);
      return `imported, ${uuid}`;
    },
    begun: "importing",
  }, { context, cluster, attendance, leave: leaves(input) });
  attendance.say(options.quiet ? uuid : outcomeLine(outcome));
  return ExitCode.ok;
}

/** The request's body: a domain that some host has, or a file and the host that is to have it. */
async function wanted(cluster: Cluster, input: Input): Promise<unknown> {
  const domain = input.argument("domain");
  const file = input.string("file");
  if ((domain === undefined) === (file === undefined)) {
    throw new VirtxError("invalid", "Import what? Name a domain of libvirt's, or give its XML by --file");
  }
  const newids = input.flag("new-ids");
  const directory = await directoryOf(cluster);
  const named = input.string("host");
  const host = named === undefined ? "" : directory.host(named).uuid;
  if (domain === undefined) return { host, xml: await readText(file ?? ""), newids };
  if (newids) {
    throw new VirtxError("invalid", "--new-ids is for a --file: a domain that is there keeps what it has");
  }
  const vm = await directory.vm(domain);
  if (host !== "" && host !== vm.host) {
    const at = directory.hostName(vm.host);
    throw new VirtxError("invalid", `${plain(vm.name)} is on host ${at}; vm migrate moves it`);
  }
  return { host: vm.host, vm: vm.uuid };
}
