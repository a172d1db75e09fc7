import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { enumName, Runstate } from "../../lib/model/enums.ts";
import { LoopDevice } from "../support/loop_device.ts";
import { disk } from "../support/vmdef_examples.ts";
import { MigrationCluster, Traveller } from "./support/migration_cluster.ts";
import { strike, type Victim, VICTIMS } from "./support/migration_faults.ts";

/** Whether there is time for all cases. */
const LONG = Deno.env.has("VIRTX_TEST_LONG");
/** In which time all must be well after everything is back. */
const SETTLE_MS = 10_000;
const DAEMON = { args: ["--block-devices", "/dev/loop*"] };

/**
 * When it happens: when the request has been answered, when memory is being sent, at a fault point of the source's virtxd, or so
 * many milliseconds after the answer, with nothing that holds the migration up.
 */
type Moment = "begun" | "sending" | `migrate.${string}` | number;

/** Where virtxd halts at the source, and is killed, before libvirt is asked, and after it is done. */
const BEFORE = ["recorded", "begun"] as const;
const AFTERWARDS = { file: ["ended", "handed", "settled"], held: ["ended", "resumed", "handed"] } as const;

interface Case {
  /** A VM whose disks QEMU locks, or one with a block device, which is held at the target until it has left the source. */
  readonly vm: "file" | "held";
  readonly when: Moment;
  readonly victim: Victim;
}

/** Those that are tried each time. */
const SHORT: readonly Case[] = [
  ...VICTIMS.map((victim) => ({ vm: "file", when: "sending", victim } as const)),
  { vm: "held", when: "sending", victim: "source virtxd" },
  { vm: "held", when: "migrate.ended", victim: "target libvirtd" },
  { vm: "file", when: "migrate.handed", victim: "source virtxd" },
  { vm: "file", when: 100, victim: "target libvirtd" },
];

function* allCases(): Iterable<Case> {
  for (const vm of ["file", "held"] as const) {
    for (const when of ["begun", "sending"] as const) {
      for (const victim of VICTIMS) yield { vm, when, victim };
    }
    // The guest's QEMU is at one end only, then.
    const but = (end: Victim) => VICTIMS.filter((victim) => victim !== end);
    for (const point of BEFORE) {
      for (const victim of but("target QEMU")) yield { vm, when: `migrate.${point}`, victim };
    }
    for (let ms = 100; ms <= 1_000; ms += 50) {
      for (const victim of ["source libvirtd", "target libvirtd"] as const) yield { vm, when: ms, victim };
    }
    for (const point of AFTERWARDS[vm]) {
      for (const victim of but("source QEMU")) yield { vm, when: `migrate.${point}`, victim };
    }
  }
}

Deno.test("whatever dies while a VM migrates, it is on one host in the end, and all agree", async (t) => {
  await using device = await LoopDevice.create(8);
  await using up = await MigrationCluster.up(3, DAEMON);
  const { cluster } = up;
  const vms = {
    file: await Traveller.create(cluster, "file"),
    held: await Traveller.create(cluster, "held", { disks: [disk(device.path)] }),
  };
  for (const traveller of Object.values(vms)) await traveller.boot();

  /** Lets a VM migrate between hosts 1 and 2, asked through host 3, and something die meanwhile. */
  const suffers = async ({ vm, when, victim }: Case) => {
    const traveller = vms[vm];
    const from = await traveller.whereabouts(3);
    const to = 3 - from;
    const journey = { traveller, from, to, daemon: DAEMON };
    const aged = await traveller.answersOn(from);
    const point = typeof when === "string" && when.startsWith("migrate.") ? when : undefined;
    if (point) {
      await cluster.startDaemon(from, { ...DAEMON, env: { VIRTX_TEST_STOP_AT: point } });
      await cluster.settled();
    }
    const asked = traveller.begin(to, when === "begun" || when === "sending" ? { bandwidth: 16 } : {}, 3);
    asked.catch(() => {}); // who asked may never hear
    if (!point) await asked;
    else await cluster.daemon(from).says("halted at a fault point");
    if (when === "sending") await traveller.sent(10, 3);
    if (typeof when === "number") await delay(when);
    {
      // What has halted does not go on by itself; it comes back last, as it needs libvirt to start.
      await using _halted = point && victim !== "source virtxd"
        ? await strike("source virtxd", journey)
        : null;
      await using _mended = await strike(victim, journey);
    }
    const back = performance.now();
    const passed = () => Math.round(performance.now() - back);
    await Promise.all(cluster.numbers.map((n) => cluster.daemon(n).ready(SETTLE_MS))); // has its libvirt again
    await cluster.settled(SETTLE_MS - passed());
    const ms = passed();
    const at = await traveller.whereabouts(3);
    const runstate = await cluster.daemon(3).runstate(traveller.vm);
    if (LONG) {
      say(
        `      ${vm} ${momentOf({ when })}, ${victim}: in ${ms} ms ${enumName(Runstate, runstate)} on the ${
          at === from ? "source" : "target"
        }`,
      );
    }
    if (victim.endsWith("QEMU") && runstate !== Runstate.running) {
      assert.ok(runstate === Runstate.crashed || runstate === Runstate.poweroff, `${runstate}`);
      assert.deepEqual(await traveller.guests(), []);
      await traveller.boot(3);
    } else {
      await traveller.restsOn(at);
      assert.ok(await traveller.answersOn(at) > aged, "it has booted anew");
    }
  };

  for (const one of LONG ? allCases() : SHORT) {
    await t.step(`${one.vm} ${momentOf(one)}: ${one.victim}`, () => suffers(one));
  }
});

function momentOf({ when }: Pick<Case, "when">): string {
  return typeof when === "number" ? `after ${when} ms` : when;
}

function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
}
