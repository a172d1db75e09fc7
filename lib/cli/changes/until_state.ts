import { Runstate } from "../../model/enums.ts";
import { VirtxError } from "../../model/error.ts";
import type { Cluster } from "../server/cluster.ts";
import { delay } from "../../model/delay.ts";

const LOOK_MS = 100;
const LOOK_MAX_MS = 1_000;

/** A run state, or that the VM is gone. */
export type Awaited = Runstate | "deleted";

/**
 * Waits until a VM is in one of these states; which one. While its state is not known the wait goes on.
 * @throws VirtxError not_found; what the signal brings
 */
export async function untilState(
  cluster: Cluster,
  uuid: string,
  states: readonly Awaited[],
  signal: AbortSignal,
): Promise<Awaited> {
  for (let ms = LOOK_MS;; ms = Math.min(LOOK_MAX_MS, ms * 1.3)) {
    const now = await stateOf(cluster, uuid, states.includes("deleted"));
    if (now !== undefined && states.includes(now)) return now;
    await delay(ms, signal);
  }
}

/** undefined: it cannot be told at the moment. */
async function stateOf(cluster: Cluster, uuid: string, mayBeGone: boolean): Promise<Awaited | undefined> {
  try {
    return (await cluster.whereabouts(uuid)).runstate;
  } catch (error) {
    if (!(error instanceof VirtxError)) throw error;
    if (mayBeGone && error.kind === "not_found") return "deleted";
    if (["unavailable", "unreachable", "timeout"].includes(error.kind)) return undefined;
    throw error;
  }
}

/** Off, in whichever way. */
export const OFF: readonly Awaited[] = [Runstate.poweroff, Runstate.crashed];
