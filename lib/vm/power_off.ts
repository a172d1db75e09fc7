import type { HostMonitor } from "../host/monitor.ts";
import { runstateOf } from "../host/runstate.ts";
import { ErrorCode } from "../libvirt/constants.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { awaitedLater, inBackground } from "../model/background.ts";
import type { Clock } from "../model/clock.ts";
import { logFailure, unlessDefect } from "../model/defect.ts";
import { Runstate } from "../model/enums.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import { within } from "../model/within.ts";

/** What {@link PowerOffs} stand on. */
export interface PowerOffsOptions {
  readonly hypervisor: Pick<Hypervisor, "state" | "destroy" | "requireAnswers">;
  readonly monitor: Pick<HostMonitor, "refresh">;
  readonly nameOf: (vm: string) => string;
  /** Whether the guest may go on at another host. */
  readonly isLeaving: (vm: string) => boolean;
  /** Fails what else is done with the guest, if the power-off succeeds. */
  readonly cutOff: (vm: string, powerOff: Promise<void>) => void;
  /** Records a power-off that began then, when nothing else is done with the VM: why it failed, or else well. */
  readonly record: (vm: string, ts: number, failure: string | undefined) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is known of the VM when its power-off is asked for. */
export interface PowerOffRequest {
  readonly graceful: boolean;
  /** As last heard of, in case libvirt does not say at once. */
  readonly runstate: Runstate;
  /** @throws VirtxError conflict, unless a guest in this state can be powered off */
  readonly check: (runstate: Runstate) => void;
}

/** How long libvirt is waited for to tell the state: it cannot while it ends the guest's QEMU for somebody else. */
const STATE_MS = 2_000;
/** How long the answer waits for what is only for show: the inventory and the record. */
const RECORD_MS = 3_000;

/**
 * Powers guests off by force, at once: without waiting for other operations on the VM, for a record, or for a QEMU that hangs.
 * What else is done with the guest fails by it.
 */
export class PowerOffs {
  readonly #o: PowerOffsOptions;
  readonly #underWay = new Map<string, { readonly graceful: boolean; readonly done: Promise<void> }>();

  constructor(options: PowerOffsOptions) {
    this.#o = options;
  }

  /** Whether the VM's guest is just being ended. */
  isUnderWay(vm: string): boolean {
    return this.#underWay.has(vm);
  }

  /** Ends the guest; graceful: only if its QEMU obeys. Who asks for what is under way already waits for that. */
  async run(vm: string, request: PowerOffRequest): Promise<void> {
    const known = this.#underWay.get(vm);
    if (known && (known.graceful === request.graceful || request.graceful)) return await known.done;
    const entry = { graceful: request.graceful, done: this.#run(vm, request) };
    this.#underWay.set(vm, entry);
    try {
      await entry.done;
    } finally {
      if (this.#underWay.get(vm) === entry) this.#underWay.delete(vm);
    }
  }

  async #run(vm: string, { graceful, runstate, check }: PowerOffRequest): Promise<void> {
    const { hypervisor, isLeaving, cutOff, clock } = this.#o;
    const ts = clock();
    check(await this.#stateNow(vm) ?? runstate);
    if (isLeaving(vm)) check(Runstate.migrating);
    if (graceful) this.#requireObedience(vm);
    const ending = awaitedLater(hypervisor.destroy(vm, { graceful }));
    cutOff(vm, ending);
    let failure: unknown;
    try {
      await ending;
    } catch (error) {
      failure = error;
    }
    await this.#tell(vm, ts, failure);
    if (failure === undefined) return;
    // It has ended by itself meanwhile
    if (failure instanceof VirtxError && failure.libvirt?.code === ErrorCode.operationInvalid) {
      check(Runstate.poweroff);
    }
    throw failure;
  }

  /** A QEMU that hangs does not end by itself; libvirt would wait for it, and have others wait for libvirt. */
  #requireObedience(vm: string): void {
    const { hypervisor, nameOf } = this.#o;
    try {
      hypervisor.requireAnswers(vm);
    } catch (error) {
      const { message } = VirtxError.wrap(error, `Cannot power off VM "${nameOf(vm)}" with force 1`);
      throw new VirtxError("conflict", `${message}; force 2 (virtx vm kill) ends it`, { cause: error });
    }
  }

  async #stateNow(vm: string): Promise<Runstate | undefined> {
    const asked = awaitedLater(this.#o.hypervisor.state(vm));
    try {
      if (!await within(STATE_MS, asked)) return undefined;
      const { state, reason } = await asked;
      return runstateOf(state, reason);
    } catch (error) {
      if (error instanceof VirtxError && error.kind === "not_found") throw error;
      unlessDefect(this.#o.log, "cannot read a domain's state", { vm })(error);
      return undefined;
    }
  }

  /** Shows what came of it, but does not wait for that long. */
  async #tell(vm: string, ts: number, failure: unknown): Promise<void> {
    const { monitor, record, log } = this.#o;
    const quietly = (what: string, work: Promise<unknown>) =>
      work.then(() => {}, (error) => logFailure(log, "warn", `cannot ${what}`, error, { vm }));
    const reason = failure === undefined ? undefined : errorMessage(failure);
    const shown = Promise.all([
      quietly("refresh VM", monitor.refresh(vm)),
      quietly("record a power-off", record(vm, ts, reason)),
    ]);
    inBackground(shown);
    await within(RECORD_MS, shown);
  }
}
