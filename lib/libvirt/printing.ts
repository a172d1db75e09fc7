import { setTimeout as delay } from "node:timers/promises";
import { VirtxError } from "../model/error.ts";
import { ControlState, DomainState, PausedReason, RunningReason } from "./constants.ts";
import type { Domain, StateReason } from "./domain.ts";

/**
 * Since this version libvirt prints a domain under its job ("Grab a QUERY job when formatting domain XML"), as it changes a domain
 * under it: a guest whose QEMU does not answer keeps the caller waiting for 30 s, and then it gets nothing.
 */
const UNDER_JOB_SINCE = 11_000_000;

/** A QEMU that is well has answered libvirt after less than this, in ms. */
const MOMENT_MS = 500;
/** A domain that is busy for a moment is looked at so often, with such pauses. */
const LOOKS = 6, PAUSE_MS = 100;

/** Why libvirt would not print a domain now; it is for messages. */
export interface Occupation {
  readonly reason: string;
  /** Whether it is more than a matter of moments. */
  readonly lasts: boolean;
}

/** Whether this libvirt prints a domain only when nothing else is done with it. */
export function printsUnderJob({ driver, version }: { driver: string; version: number }): boolean {
  return driver === "QEMU" && version >= UNDER_JOB_SINCE;
}

/** What is printed of the domain; or why libvirt would have the caller wait for it, who then does not ask. */
export async function printUnlessOccupied(
  domain: Domain,
  print: (domain: Domain) => Promise<string>,
): Promise<string | Occupation> {
  for (let looks = 1;; looks++) {
    const occupation = await occupationOf(domain);
    if (occupation === undefined) return await print(domain);
    if (occupation.lasts || looks === LOOKS) return occupation;
    await delay(PAUSE_MS);
  }
}

/** Whether a domain in this state comes from another host, where it is not gone yet. */
export function isArriving({ state, reason }: StateReason): boolean {
  if (state === DomainState.paused) return reason === PausedReason.migration;
  return state === DomainState.running &&
    (reason === RunningReason.postcopy || reason === RunningReason.postcopyFailed);
}

async function occupationOf(domain: Domain): Promise<Occupation | undefined> {
  const told = await domain.state();
  if (told.state === DomainState.shutoff) return undefined;
  if (isArriving(told)) return { reason: "it is arriving from another host", lasts: true };
  if (told.state === DomainState.paused && told.reason === PausedReason.startingUp) {
    return { reason: "it is starting", lasts: true };
  }
  const control = await controlOf(domain);
  switch (control?.state) {
    case ControlState.job:
      return { reason: "libvirt is busy with it", lasts: false };
    case ControlState.occupied: {
      const seconds = Math.round(control.ms / 1000);
      return {
        reason: `its QEMU has not answered libvirt for ${seconds} s`,
        lasts: control.ms >= MOMENT_MS,
      };
    }
    default:
      return undefined;
  }
}

/** Undefined: it has ended meanwhile. */
async function controlOf(domain: Domain): Promise<{ state: number; ms: number } | undefined> {
  try {
    return await domain.control();
  } catch (error) {
    if (error instanceof VirtxError && error.kind === "refused") return undefined;
    throw error;
  }
}
