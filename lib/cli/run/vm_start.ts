import { VirtxError } from "../../model/error.ts";
import { reasonOf } from "../../posix/reason.ts";
import type { CloudInitName, VmBootOptions } from "../../model/vm.ts";
import { changeEach } from "../changes/bulk.ts";
import type { Change } from "../changes/change.ts";
import { selectVms } from "../changes/select.ts";
import type { Context } from "../context.ts";
import type { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import type { Named } from "../resolve.ts";

/** `vm start`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const documents = await cloudInit(input);
  const { cluster, vms } = await selectVms(context, input);
  return await changeEach({ context, input, cluster, vms }, (vm) => starting(vm, documents));
}

/** Starts a VM. */
export function starting(vm: Named, documents: VmBootOptions["cloud_init"] = []): Change {
  return {
    vm,
    title: `Starting ${vm.name}`,
    method: "POST",
    path: `/vms/${vm.uuid}/runstate/boot`,
    body: documents.length > 0 ? { cloud_init: documents } : null,
    done: () => "started",
    begun: "starting",
  };
}

const DOCUMENTS: readonly (readonly [flag: string, name: CloudInitName])[] = [
  ["user-data", "ci-userdata"],
  ["meta-data", "ci-metadata"],
  ["network-config", "ci-networkconfig"],
];

async function cloudInit(input: Input): Promise<VmBootOptions["cloud_init"]> {
  const documents: { name: CloudInitName; value: string }[] = [];
  for (const [flag, name] of DOCUMENTS) {
    const path = input.string(flag);
    if (path !== undefined) documents.push({ name, value: await readText(path, `--${flag}`) });
  }
  return documents;
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new VirtxError("invalid", `${what}: cannot read ${JSON.stringify(path)}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
