import type { VmShutdownOptions } from "../../model/vm.ts";
import type { Input } from "../input.ts";
import type { Named } from "../resolve.ts";
import type { Cluster } from "../server/cluster.ts";
import type { Change } from "./change.ts";
import { OFF, untilState } from "./until_state.ts";

/** Shuts a VM down; done when it is off. */
export function stopping(vm: Named, force: VmShutdownOptions["force"], cluster: Cluster): Change {
  return {
    vm,
    title: force === 0 ? `Shutting ${vm.name} down` : `Ending ${vm.name}`,
    method: "DELETE",
    path: `/vms/${vm.uuid}/runstate/boot`,
    body: { force },
    done: () => force === 2 ? "killed" : "stopped",
    begun: force === 0 ? "asked to shut down" : "ending",
    after: async (signal) => void await untilState(cluster, vm.uuid, OFF, signal),
  };
}

/** How hard --force wants it: as often as it is given. */
export function forceOf(input: Input): VmShutdownOptions["force"] {
  const count = input.count("force");
  return count === 0 ? 0 : count === 1 ? 1 : 2;
}
