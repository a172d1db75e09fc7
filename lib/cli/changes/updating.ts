import type { Vmdef } from "../../model/vm.ts";
import type { Input } from "../input.ts";
import type { Named } from "../resolve.ts";
import { type Change, warningOf } from "./change.ts";
import { definitionPath } from "./definition.ts";

/** Replaces the definition of a VM, as the flags say. */
export function updating(vm: Named, vmdef: Vmdef, input: Input): Change {
  return {
    vm,
    title: `Changing ${vm.name}`,
    method: "PUT",
    path: definitionPath(`/vms/${vm.uuid}`, input),
    body: { vmdef, deletestorage: input.flag("storage") },
    done: (result) => `changed${warningOf(result)}`,
    begun: "changing",
  };
}
