import type { Inventory } from "../cluster/inventory.ts";
import { enumName, HostState } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";

/** What a host sets on a request that it passes on, so that none travels in a circle (interop.md §1). */
export const LOOP_HEADER = "x-virtx-loop";

/**
 * Decides which host a request is for: the one that its body wishes for, or the one that its VM is on. Requests for other
 * hosts are refused here for now; this is where passing them on belongs.
 */
export class Routing {
  readonly #hostUuid: string;
  readonly #inventory: Inventory;

  constructor(o: { readonly hostUuid: string; readonly inventory: Inventory }) {
    this.#hostUuid = o.hostUuid;
    this.#inventory = o.inventory;
  }

  /**
   * Makes sure that this host is the one to create or register a VM on; an empty wish is for the host that is asked.
   * @throws VirtxError loop, unavailable, unreachable
   */
  requireHost(wish: string, request: Request): void {
    if (wish !== "" && wish !== this.#hostUuid) throw this.#elsewhere(wish, request);
  }

  /**
   * Makes sure that the VM is on this host. One that nobody knows is left to the use case to miss.
   * @throws VirtxError loop, unavailable, unreachable
   */
  requireHostOf(vm: string, request: Request): void {
    const host = this.#inventory.vm(vm)?.host;
    if (host !== undefined && host !== this.#hostUuid) throw this.#elsewhere(host, request);
  }

  #elsewhere(uuid: string, request: Request): VirtxError {
    if (request.headers.has(LOOP_HEADER)) {
      return new VirtxError(
        "loop",
        `Cannot serve a request that was passed on to this host: it is for host ${uuid}`,
      );
    }
    const host = this.#inventory.host(uuid);
    if (host === undefined) {
      return new VirtxError("unavailable", `Cannot pass the request on: host ${uuid} is not known`);
    }
    const name = `host "${host.def.name}"`;
    if (host.cstate !== HostState.active) {
      const state = enumName(HostState, host.cstate);
      return new VirtxError("unavailable", `Cannot pass the request on: ${name} is not active but ${state}`);
    }
    return new VirtxError(
      "unreachable",
      `Cannot pass the request on to ${name}: virtxd does not do that yet`,
    );
  }
}
