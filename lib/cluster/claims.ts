import { HostState, Runstate } from "../model/enums.ts";
import type { VmInfo } from "../model/vm.ts";

/**
 * What is shown of a VM: what its host said last, and what that is worth. Frozen and replaced, never changed in place.
 * It is the host's claim to have the VM, too; several hosts may claim one, and one claim is shown.
 */
export interface VmEntry extends VmInfo {
  /** None while nobody knows: the host is not active, or it is back and has not said yet what has become of its VMs. */
  readonly runstate: Runstate;
  /** What the host said last. */
  readonly lastrunstate: Runstate;
  /** Of its host. */
  readonly cstate: HostState;
}

/**
 * A claim as it is shown while its host is in that state.
 * @param doubted whether it dates from before the host was away
 */
export function entryOf(said: VmInfo, cstate: HostState, doubted: boolean): VmEntry {
  const { uuid, name, host, runstate, vlanid, custom, vcpus, ts } = said;
  return {
    uuid,
    name,
    host,
    runstate: cstate === HostState.active && !doubted ? runstate : Runstate.none,
    vlanid,
    custom,
    vcpus,
    ts,
    lastrunstate: runstate,
    cstate,
  };
}

/** What the host itself said: as it is told to others. */
export function saidOf(entry: VmEntry): VmInfo {
  const { uuid, name, host, lastrunstate, vlanid, custom, vcpus, ts } = entry;
  return { uuid, name, host, runstate: lastrunstate, vlanid, custom, vcpus, ts };
}

/**
 * How much a run state says for a host that claims a VM: most, if it runs there; least, if it is merely defined. While a VM
 * migrates, the host that has it running is before the one where it waits to arrive.
 */
const STRENGTH: Readonly<Record<Runstate, number>> = {
  [Runstate.running]: 5,
  [Runstate.paused]: 4,
  [Runstate.pmsuspended]: 4,
  [Runstate.terminating]: 4,
  [Runstate.migrating]: 3,
  [Runstate.startup]: 2,
  [Runstate.poweroff]: 1,
  [Runstate.crashed]: 1,
  [Runstate.none]: 0,
  [Runstate.deleted]: 0,
};

/**
 * Negative: a is to be shown rather than b. The order is total and made of nothing but the claims, so all hosts that know the
 * same decide the same, whatever came first. Clocks count only between claims that are as strong, such as two
 * definitions of a VM that is off on two hosts.
 */
export function compareClaims(a: VmEntry, b: VmEntry): number {
  return Number(isKnown(b)) - Number(isKnown(a)) ||
    Number(b.cstate === HostState.active) - Number(a.cstate === HostState.active) ||
    STRENGTH[b.lastrunstate] - STRENGTH[a.lastrunstate] ||
    b.ts - a.ts ||
    (a.host < b.host ? -1 : 1);
}

/** Whether the VM is what its host said last, as far as anybody can know. */
function isKnown({ runstate, lastrunstate }: VmEntry): boolean {
  return runstate === lastrunstate;
}
