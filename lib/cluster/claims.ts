import { HostState, Runstate } from "../model/enums.ts";
import type { VmInfo } from "../model/vm.ts";

/**
 * What is shown of a VM: what its host said last, and what that is worth. Frozen and replaced, never changed in place.
 * It is the host's claim to have the VM, too; several hosts may claim one, and one claim is shown.
 */
export interface VmEntry extends VmInfo {
  /** None while nobody knows: the host is not active, its virtxd or libvirt is away, or it is back and has not said yet what has become of its VMs. */
  readonly runstate: Runstate;
  /** What the host said last. */
  readonly lastrunstate: Runstate;
  /** Of its host. */
  readonly cstate: HostState;
}

/**
 * A claim as it is shown while its host is in that state.
 * @param doubted whether it dates from before the host was away, or its virtxd or libvirt is
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

/** Whose word a claim is: this host's libvirt's, that of another host, or that of a host of the Go prototype. */
export type ClaimSource = "own" | "host" | "prototype";

/**
 * How much a run state says for a host that claims a VM: most, if it runs there; then if it is defined; least, if it waits
 * there to arrive, for then another host still has it.
 */
const STRENGTH: Readonly<Record<Runstate, number>> = {
  [Runstate.running]: 5,
  [Runstate.paused]: 4,
  [Runstate.pmsuspended]: 4,
  [Runstate.terminating]: 4,
  [Runstate.migrating]: 3,
  [Runstate.poweroff]: 2,
  [Runstate.crashed]: 2,
  [Runstate.startup]: 1,
  [Runstate.none]: 0,
  [Runstate.deleted]: 0,
};

/** What a prototype's host says counts less than a definition of a virtxd host, and more than that a VM is to arrive there. */
const PROTOTYPE_STRENGTH = 1.5;

/** From here on a claim says that there is a guest, which does not leave. */
const GUEST_STRENGTH = 4;

/**
 * Negative: a is to be shown rather than b. The order is total. A guest that this host's libvirt has is shown here, whatever
 * others say; beyond that the order is made of nothing but the claims, so all hosts that know the same decide the same,
 * whatever came first. Clocks count only between claims that are as strong, such as two definitions of a VM that is off on
 * two hosts, and between prototype hosts, of which the newer word counts (protocol.md §2).
 */
export function compareClaims(a: VmEntry, b: VmEntry, sourceOf: (host: string) => ClaimSource): number {
  const [ofA, ofB] = [sourceOf(a.host), sourceOf(b.host)];
  return Number(isOwnGuest(b, ofB)) - Number(isOwnGuest(a, ofA)) ||
    Number(isKnown(b)) - Number(isKnown(a)) ||
    Number(b.cstate === HostState.active) - Number(a.cstate === HostState.active) ||
    strengthOf(b, ofB) - strengthOf(a, ofA) ||
    b.ts - a.ts ||
    STRENGTH[b.lastrunstate] - STRENGTH[a.lastrunstate] ||
    (a.host < b.host ? -1 : 1);
}

/** Whether the host has the VM, and not on its way: it neither leaves nor waits to arrive. */
export function isSettled({ lastrunstate }: VmEntry): boolean {
  return lastrunstate !== Runstate.migrating && STRENGTH[lastrunstate] > STRENGTH[Runstate.startup];
}

function isOwnGuest({ lastrunstate }: VmEntry, source: ClaimSource): boolean {
  return source === "own" && STRENGTH[lastrunstate] >= GUEST_STRENGTH;
}

function strengthOf({ lastrunstate }: VmEntry, source: ClaimSource): number {
  return source === "prototype" ? PROTOTYPE_STRENGTH : STRENGTH[lastrunstate];
}

/** Whether the VM is what its host said last, as far as anybody can know; nobody has said anything of one that is only registered. */
function isKnown({ runstate, lastrunstate }: VmEntry): boolean {
  return runstate === lastrunstate && runstate !== Runstate.none;
}
