import { powerFailure } from "../lab/faults/power.ts";
import { GuestConsole } from "../lab/guest_console.ts";
import { imagesOf } from "../lab/images.ts";
import type { Lab } from "../lab/lab.ts";
import { until } from "../lab/until.ts";
import { print } from "../progress.ts";
import { type DemoHost, heading, startVirtxd, waitForAll } from "./demo_lab.ts";

/** Values of runstate, cstate and migration state of protocol.md §1. */
const UNKNOWN = 0;
const POWEROFF = 2;
const RUNNING = 4;
const FAILED = 3;
const MIGRATION = { cancelled: 3, completed: 8, failed: 9 } as const;

/** What the guest writes to all the time, and how fast a migration may send: so it takes a moment to watch. */
const DIRTY = { mib: 24, mibPerS: 8 };
const BANDWIDTH_MIB_PER_S = 24;

/** What the chapters play with: a guest, and the hosts by their part. */
export interface Cast {
  readonly lab: Lab;
  /** On which the VM is created. */
  readonly one: DemoHost;
  /** To which it moves. */
  readonly two: DemoHost;
  /** Which is asked, though it has nothing to do with it. */
  readonly three: DemoHost;
}

/** Creates the VM by asking its host to be, boots it by asking another, and waits for what its own console says. */
export async function createAndBoot({ one, three }: Cast): Promise<string> {
  heading("Create a VM on virt1: its first disk is there already, virtxd makes the second");
  const create = { method: "POST", path: "/vms", file: "scripts/demo/create.json" } as const;
  const uuid = String(await one.rest.show(create));
  await listed(three, uuid);
  heading("Boot it, with a cloud-init seed, by asking virt3");
  await three.rest.show({
    method: "POST",
    path: `/vms/${uuid}/runstate/boot`,
    file: "scripts/demo/boot.json",
  });
  heading("What the guest says on its serial console, on virt1");
  await using terminal = await GuestConsole.open(one.host, uuid);
  quote(await terminal.expect(/^guest up:.*/m, 90_000));
  quote(await terminal.expect(/^guest says:.*/m));
  await terminal.send(`dirty ${DIRTY.mib} ${DIRTY.mibPerS}`);
  quote(await terminal.expect(/guest dirty:.*/));
  return uuid;
}

/** What a host tells that has no VM at all. */
export async function lookAround({ three }: Cast, uuid: string): Promise<void> {
  heading("Ask virt3 for all VMs, for this one, and for the hosts");
  await three.rest.show({ method: "GET", path: "/vms" });
  await three.rest.show({ method: "GET", path: `/vms/${uuid}` });
  await three.rest.show({ method: "GET", path: "/hosts" });
}

interface MigrationInfo {
  readonly state: number;
  readonly progress: {
    readonly total: number;
    readonly transferred: number;
    readonly remaining: number;
    readonly rate: number;
  };
  readonly reason: string;
}

/** Moves the running guest, which goes on writing to its memory. */
export async function migrate({ two, three }: Cast, uuid: string): Promise<void> {
  heading("Move it to virt2 while it runs and writes to its memory, by asking virt3");
  const path = `/vms/${uuid}/runstate/migrate`;
  const options = { host: two.host.record.uuid, migration_type: 1, bandwidth: BANDWIDTH_MIB_PER_S };
  const request = { method: "POST", path, body: JSON.stringify(options) } as const;
  await three.rest.show(request);
  print(`\n  $ ${three.rest.curl({ method: "GET", path })}     # again and again\n`);
  await until("the migration to end", () => watch(three, path), 60_000, 500);
  await until("virt3 to know where the VM is", async () => {
    const { host } = await three.rest.get(`/vms/${uuid}/runstate`) as { host: string };
    return host === two.host.record.uuid || undefined;
  }, 10_000);
  heading("The guest has not noticed: its console, on virt2 by now");
  await using terminal = await GuestConsole.open(two.host, uuid);
  await terminal.send("status");
  quote(await terminal.expect(/guest status:.*/));
}

/** Shows how far a migration is; true: it has come to its end. */
async function watch({ rest }: DemoHost, path: string): Promise<true | undefined> {
  const { state, progress, reason } = await rest.get(path) as MigrationInfo;
  const { total, transferred, remaining, rate } = progress;
  print(
    `  state ${state}: ${transferred} MiB sent, ${remaining} of ${total} MiB to go, ${
      rate.toFixed(1)
    } MiB/s\n`,
  );
  if (state === MIGRATION.cancelled || state === MIGRATION.failed) {
    throw new Error(`The migration failed: ${reason}`);
  }
  return state === MIGRATION.completed || undefined;
}

/** The host that the guest runs on loses power; the others say so; then it is back. */
export async function killAndHeal(cast: Cast, uuid: string): Promise<void> {
  const { lab, one, two, three } = cast;
  heading("The power of virt2 fails, and with it the guest is gone");
  {
    await using _dark = await powerFailure(lab, two.host);
    await until(
      "virt3 to notice",
      async () => {
        const { items } = await three.rest.get("/hosts") as {
          items: { uuid: string; fields: { cstate: number } }[];
        };
        return items.find((item) => item.uuid === two.host.record.uuid)?.fields.cstate === FAILED ||
          undefined;
      },
      60_000,
      100,
    );
    heading("The others say so: virt2 has failed (cstate 3), and nobody knows the VM's state (runstate 0)");
    await one.rest.show({ method: "GET", path: "/hosts?cstate=failed" });
    await three.rest.show({ method: "GET", path: "/vms?runstate=none" });
    await state(three, uuid, UNKNOWN);
    heading("It is switched on again");
  }
  await startVirtxd(two);
  await waitForAll([one, two, three]);
  await state(three, uuid, POWEROFF);
  heading("The VM is still there, without power (runstate 2), and is booted by asking virt1");
  await one.rest.show({ method: "GET", path: "/vms" });
  await one.rest.show({ method: "POST", path: `/vms/${uuid}/runstate/boot` });
  await using terminal = await GuestConsole.open(two.host, uuid);
  quote(await terminal.expect(/^guest up:.*/m, 90_000));
  await state(three, uuid, RUNNING);
}

/** The end of the VM: by its power button, then its disks. */
export async function shutDownAndDelete({ two, three }: Cast, uuid: string): Promise<void> {
  heading("Shut it down by the ACPI power button, by asking virt3");
  await using terminal = await GuestConsole.open(two.host, uuid);
  await three.rest.show({ method: "DELETE", path: `/vms/${uuid}/runstate/boot`, body: '{"force":0}' });
  quote(await terminal.expect(/^guest down:.*/m, 30_000));
  await state(three, uuid, POWEROFF);
  heading("Delete it, with its disks, which wait in the trash for a day");
  await three.rest.show({ method: "DELETE", path: `/vms/${uuid}`, body: '{"deletestorage":true}' });
  const left = await imagesOf(three.host);
  if (left !== "") throw new Error(`Disks are left: ${left}`);
  print("  /vms/ds has no disk any more\n");
}

/** Waits until a host knows of a VM. */
async function listed({ host, rest }: DemoHost, uuid: string): Promise<void> {
  await until(`${host.name} to know of the VM`, async () => {
    const { items } = await rest.get("/vms") as { items: { uuid: string }[] };
    return items.some((item) => item.uuid === uuid) || undefined;
  }, 10_000);
}

/** Waits until a host shows a VM in a state. */
async function state({ host, rest }: DemoHost, uuid: string, wanted: number): Promise<void> {
  await until(`${host.name} to show the VM in runstate ${wanted}`, async () => {
    const { runstate } = await rest.get(`/vms/${uuid}/runstate`) as { runstate: number };
    return runstate === wanted || undefined;
  }, 30_000);
}

function quote([text]: RegExpExecArray): void {
  print(`  > ${text.trim()}\n`);
}
