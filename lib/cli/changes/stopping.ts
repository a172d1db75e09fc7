import type { VmShutdownOptions } from "../../model/vm.ts";
import type { Input } from "../input.ts";
import type { Named } from "../resolve.ts";
import type { Cluster } from "../server/cluster.ts";
import type { Afterwards } from "./attended.ts";
import type { Change } from "./change.ts";
import { OFF, untilState } from "./until_state.ts";

/**
 * Shuts a VM down; done when it is off.
 * @param otherwise what is to be added where it is told that the VM is not off: ", so it is not started again"
 */
export function stopping(
  vm: Named,
  force: VmShutdownOptions["force"],
  cluster: Cluster,
  otherwise = "",
): Change {
  const begun = force === 0 ? "asked to shut down" : "ending";
  return {
    vm,
    title: force === 0 ? `Shutting ${vm.name} down` : `Ending ${vm.name}`,
    method: "DELETE",
    path: `/vms/${vm.uuid}/runstate/boot`,
    body: { force },
    done: () => force === 2 ? "killed" : "stopped",
    begun,
    after: {
      // One that nothing defines is gone once it is off.
      until: async (signal) => void await untilState(cluster, vm.uuid, [...OFF, "deleted"], signal),
      words: force === 0 ? asked(vm, begun, otherwise) : undefined,
    },
  };
}

/** A guest that was asked to shut down decides by itself whether and when it does. */
function asked({ name }: Named, said: string, otherwise: string): Afterwards {
  return {
    said,
    still: `${name} was asked to shut down, and its guest has not done so yet${otherwise}`,
    ends: `vm stop ${name} --force`,
  };
}

/** How hard --force wants it: as often as it is given. */
export function forceOf(input: Input): VmShutdownOptions["force"] {
  const count = input.count("force");
  return count === 0 ? 0 : count === 1 ? 1 : 2;
}
