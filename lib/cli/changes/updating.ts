import type { Vmdef } from "../../model/vm.ts";
import type { Named } from "../resolve.ts";
import { type Change, warningOf } from "./change.ts";

/** Replaces the definition of a VM. */
export function updating(vm: Named, vmdef: Vmdef, deletestorage: boolean): Change {
  return {
    vm,
    title: `Changing ${vm.name}`,
    method: "PUT",
    path: `/vms/${vm.uuid}`,
    body: { vmdef, deletestorage },
    done: (result) => `changed${warningOf(result)}`,
    begun: "changing",
  };
}
