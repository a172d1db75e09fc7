import { partition } from "../../../scripts/lab/faults/packets.ts";
import { kill } from "../../../scripts/lab/faults/processes.ts";
import { until } from "../../../scripts/lab/until.ts";
import type { LabDaemonOptions } from "./lab_daemon.ts";
import type { Traveller } from "./migration_cluster.ts";

/** What dies while a VM migrates; the link: nothing arrives between the two hosts any more. */
export const VICTIMS = [
  "source virtxd",
  "target virtxd",
  "source libvirtd",
  "target libvirtd",
  "source QEMU",
  "target QEMU",
  "link",
] as const;
export type Victim = (typeof VICTIMS)[number];

/** A migration from one host to another, which goes wrong. */
export interface Journey {
  readonly traveller: Traveller;
  readonly from: number;
  readonly to: number;
  /** How the daemons are started again. */
  readonly daemon: LabDaemonOptions;
}

/** How long a link is cut: long enough for libvirt in the lab to give up (3 keepalives that are 2 s apart). */
const CUT_MS = 9_000;

/** Kills the victim (SIGKILL). What was killed comes back when this is disposed, as an administrator would see to. */
export async function strike(victim: Victim, journey: Journey): Promise<AsyncDisposable> {
  const { traveller, from, to, daemon } = journey;
  const { cluster, vm } = traveller;
  const n = victim.startsWith("source") ? from : to;
  switch (victim) {
    case "source virtxd":
    case "target virtxd":
      await cluster.killDaemon(n);
      return after(() => cluster.startDaemon(n, daemon));
    case "source libvirtd":
    case "target libvirtd":
      await kill(cluster.host(n), "libvirtd");
      return after(() => cluster.lab.lab.boot(cluster.host(n)));
    case "source QEMU":
      await kill(cluster.host(n), { guest: vm });
      return after(() => {});
    case "target QEMU":
      await until("the target's QEMU to wait for the guest", async () => {
        return (await traveller.guests()).includes(n) || undefined;
      }, 10_000);
      await kill(cluster.host(n), { guest: vm });
      return after(() => {});
    case "link": {
      const cut = await partition([cluster.host(from)], [cluster.host(to)]);
      return after(async () => {
        await new Promise((resolve) => setTimeout(resolve, CUT_MS));
        await cut[Symbol.asyncDispose]();
      });
    }
  }
}

function after(mend: () => unknown): AsyncDisposable {
  return { [Symbol.asyncDispose]: async () => void await mend() };
}
