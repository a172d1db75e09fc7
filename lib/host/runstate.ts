import { DomainState, LifecycleEvent } from "../libvirt/constants.ts";
import { Runstate } from "../model/enums.ts";

/** virDomainPausedReason, as far as it makes a difference. */
const Paused = {
  migration: 2,
  ioError: 5,
  shuttingDown: 8,
  crashed: 10,
  startingUp: 11,
  postcopy: 12,
} as const;

/** virDomainRunningReason and virDomainShutoffReason, likewise. */
const Running = { postcopy: 10 } as const;
const Shutoff = { crashed: 3 } as const;

/** The run state that a domain's state and reason (virDomainGetState) amount to. */
export function runstateOf(state: number, reason: number): Runstate {
  switch (state) {
    case DomainState.running:
      return reason === Running.postcopy ? Runstate.startup : Runstate.running; // arriving
    case DomainState.blocked: // on a resource, which is the guest's own affair
      return Runstate.running;
    case DomainState.paused:
      return pausedRunstate(reason);
    case DomainState.shutdown:
      return Runstate.terminating;
    case DomainState.shutoff:
      return reason === Shutoff.crashed ? Runstate.crashed : Runstate.poweroff;
    case DomainState.crashed:
      return Runstate.crashed;
    case DomainState.pmsuspended:
      return Runstate.pmsuspended;
    default:
      return Runstate.none;
  }
}

/** Whether QEMU has paused the guest because a disk could not be read or written (virDomainGetState). */
export function isPausedByIoError(state: number, reason: number): boolean {
  return state === DomainState.paused && reason === Paused.ioError;
}

function pausedRunstate(reason: number): Runstate {
  switch (reason) {
    case Paused.postcopy:
      return Runstate.migrating;
    case Paused.shuttingDown:
      return Runstate.terminating;
    case Paused.crashed:
      return Runstate.crashed;
    case Paused.migration: // it waits for its memory; one that leaves is known to (see LocalDomains.leaving)
    case Paused.startingUp:
      return Runstate.startup;
    default:
      return Runstate.paused;
  }
}

/** virDomainEventStartedDetailType: of these the guest runs; the others may leave it paused. */
const STARTED_RUNNING: readonly number[] = [0, /* booted */ 4 /* wakeup */];
/** virDomainEventSuspendedDetailType. */
const Suspended = { migrated: 1, ioError: 2, postcopy: 7 } as const;
/** virDomainEventResumedDetailType. */
const Resumed = { postcopy: 3 } as const;
/** virDomainEventStoppedDetailType. */
const Stopped = { crashed: 2 } as const;

/**
 * The run state that a lifecycle event (virConnectDomainEventCallback) tells by itself. Undefined if it does not:
 * then libvirt must be asked, rather than a state be invented.
 */
export function runstateAfter(event: number, detail: number): Runstate | undefined {
  switch (event) {
    case LifecycleEvent.started:
      return STARTED_RUNNING.includes(detail) ? Runstate.running : undefined;
    case LifecycleEvent.suspended:
      return detail === Suspended.migrated || detail === Suspended.postcopy
        ? Runstate.migrating
        : Runstate.paused;
    case LifecycleEvent.resumed:
      return detail === Resumed.postcopy ? Runstate.startup : Runstate.running;
    case LifecycleEvent.stopped:
      return detail === Stopped.crashed ? Runstate.crashed : Runstate.poweroff;
    case LifecycleEvent.shutdown:
      return Runstate.terminating;
    case LifecycleEvent.pmsuspended:
      return Runstate.pmsuspended;
    case LifecycleEvent.crashed:
      return Runstate.crashed;
    default:
      return undefined;
  }
}

/** Whether a lifecycle event says that QEMU has paused the guest because a disk could not be read or written. */
export function tellsIoError(event: number, detail: number): boolean {
  return event === LifecycleEvent.suspended && detail === Suspended.ioError;
}
