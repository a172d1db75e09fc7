import { until } from "../../../scripts/lab/until.ts";
import { defineIdleGuest } from "../../lab/support/idle_guest.ts";
import { ask } from "./http.ts";
import type { Campaign } from "./campaign.ts";
import { pause } from "./faults.ts";
import type { VmNote } from "./ledger.ts";

/** How long hosts may take to hear of something. */
const HEARD_MS = 30_000;
/** How often each host looks whether it still says so. */
const LOOKS = 10;

/** Courses of events that random acts seldom come to, each at a moment at which nothing else is done. */
export type Drill = (campaign: Campaign) => Promise<void>;

/** Several hosts want a disk that exists at the same instant. */
export async function raceForDisk({ desks, paths, ledger, cluster, random }: Campaign): Promise<void> {
  const maker = desks[0];
  if (!maker) return;
  const wish = { path: paths.fresh(), isNew: true };
  const first = ledger.newVm();
  await maker.create(wish, 1, first);
  await maker.delete(first, false);
  // What was released is free at once.
  const isNew = random() < 0.3;
  if (isNew) await Deno.remove(cluster.storage + wish.path.slice("/vms".length)).catch(() => {});
  if (isNew) markRemoved({ ledger }, wish.path);
  await Promise.all(desks.map((desk) => desk.create({ ...wish, isNew }, desk.at)));
}

/** Of two hosts that want a disk that exists, one is slow just before it records that, and the other before it registers it. */
export async function overtake(campaign: Campaign): Promise<void> {
  const { desks, hosts, paths, ledger } = campaign;
  const [slow, quick] = campaign.pickTwo();
  const [slowDesk, quickDesk] = [desks[slow - 1], desks[quick - 1]];
  const path = paths.fresh();
  const first = ledger.newVm();
  await quickDesk?.create({ path, isNew: true }, quick, first);
  await quickDesk?.delete(first, false);
  await hosts.restart(slow, { env: { VIRTX_TEST_STOP_AT: "disks.written" } });
  await hosts.restart(quick, { env: { VIRTX_TEST_STOP_AT: "create.defined" } });
  await hosts.complete();
  const late = slowDesk?.create({ path, isNew: false }, slow);
  await hosts.halted(slow, HEARD_MS);
  const early = quickDesk?.create({ path, isNew: false }, quick);
  await hosts.halted(quick, HEARD_MS);
  hosts.goOn(slow);
  await late;
  hosts.goOn(quick);
  await early;
}

/** A host is away in the middle of a deletion; others take what it left; it comes back. */
export async function lateDeletion(campaign: Campaign): Promise<void> {
  const { desks, paths, ledger, hosts } = campaign;
  const [at, other] = campaign.pickTwo();
  const points = ["delete.committed", "delete.kept", "trash.recorded", "trash.renamed", "delete.deleted"];
  const point = campaign.pick(points);
  await hosts.restart(at, { env: { VIRTX_TEST_STOP_AT: point } });
  await hosts.complete();
  const desk = desks[at - 1];
  const path = paths.fresh();
  const old = ledger.newVm();
  if (await desk?.create({ path, isNew: true }, at, old) !== "accepted") return await hosts.restart(at);
  const deletion = desk?.delete(old, true);
  await hosts.halted(at, HEARD_MS);
  await hosts.outage(at, async () => {
    await deletion;
    await takeOver(campaign, { old, path, at, other });
  });
}

/** The same, but the host has only been asleep, and goes on where it was. */
export async function sleepyDeletion(campaign: Campaign): Promise<void> {
  const { desks, paths, ledger, hosts } = campaign;
  const [at, other] = campaign.pickTwo();
  await hosts.restart(at, {
    env: { VIRTX_TEST_STOP_AT: campaign.pick(["trash.recorded", "trash.renamed"]) },
  });
  await hosts.complete();
  const desk = desks[at - 1];
  const path = paths.fresh();
  const old = ledger.newVm();
  if (await desk?.create({ path, isNew: true }, at, old) !== "accepted") return await hosts.restart(at);
  const deletion = desk?.delete(old, true);
  await hosts.halted(at, HEARD_MS);
  await takeOver(campaign, { old, path, at, other });
  hosts.goOn(at);
  await deletion;
}

/** A VM's deletion has stopped: an administrator has the rest of it go by hand, and much later another host gets the disk's path. */
async function takeOver(
  { desks, ledger, hosts, cluster }: Campaign,
  o: { readonly old: VmNote; readonly path: string; readonly at: number; readonly other: number },
): Promise<void> {
  const host = hosts.cluster.host(o.at);
  await host.run(["virsh", "undefine", o.old.uuid ?? ""]);
  await Deno.remove(`${cluster.storage}/xml/${host.record.uuid}/${o.old.uuid}.xml`).catch(() => {});
  markRemoved({ ledger }, o.path);
  await Deno.remove(cluster.storage + o.path.slice("/vms".length)).catch(() => {});
  await hosts.age();
  await desks[o.other - 1]?.create({ path: o.path, isNew: true }, o.other);
}

/** Other tools add to a VM; then virtxd changes it. */
export async function changeWhatOthersMade(campaign: Campaign): Promise<void> {
  const { desks, tools, paths, ledger } = campaign;
  const desk = campaign.pick(desks);
  const vm = ledger.newVm();
  if (await desk.create({ path: paths.fresh(), isNew: true }, desk.at, vm) !== "accepted") return;
  for (const kind of ["metadata", "description", "channel"] as const) await tools.decorate(vm, kind);
  await tools.attach(vm);
  await desk.update(vm, {}, true);
  await desk.update(vm, { add: { path: paths.fresh(), isNew: true } });
  await desk.update(vm, { remove: true, deletestorage: true });
}

/** The definition of a VM lies in the registries of all hosts, as after copies by hand, and all want it at the same instant. */
export async function raceToRegister(campaign: Campaign): Promise<void> {
  const { desks, ledger, paths, hosts, cluster } = campaign;
  const desk = campaign.pick(desks);
  const vm = ledger.newVm();
  if (await desk.create({ path: paths.fresh(), isNew: true }, desk.at, vm) !== "accepted") return;
  const host = hosts.cluster.host(desk.at);
  const fileOf = (n: number) => `${cluster.storage}/xml/${hosts.cluster.uuid(n)}/${vm.uuid}.xml`;
  const xml = await Deno.readTextFile(fileOf(desk.at));
  const act = ledger.begin(`other tools on ${host.name}: virsh undefine "${vm.title}"`, vm, {
    effect: "removes",
  });
  await host.run(["virsh", "undefine", vm.uuid ?? ""]);
  ledger.end(act, "accepted");
  for (const n of hosts.numbers) {
    await Deno.mkdir(fileOf(n).replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(fileOf(n), xml);
  }
  await hosts.age();
  await until("all hosts to know that nobody has the VM", async () => {
    const known = await Promise.all(hosts.numbers.map((n) => hosts.cluster.vm(n, vm.uuid ?? "")));
    return known.every((entry) => entry === undefined) || undefined;
  }, HEARD_MS);
  const answers = await Promise.all(desks.map((each) => each.register(vm, each.at)));
  const won = answers.findIndex((answer) => answer === "accepted");
  const keeper = won < 0 ? desk.at : won + 1;
  for (const n of hosts.numbers) if (n !== keeper) await Deno.remove(fileOf(n)).catch(() => {});
}

/** Changes are wanted of a host whose storage is not mounted. */
export async function withoutStorage(campaign: Campaign): Promise<void> {
  const { desks, ledger, hosts, paths } = campaign;
  const desk = campaign.pick(desks);
  const vm = ledger.newVm();
  await desk.create({ path: paths.fresh(), isNew: true }, desk.at, vm);
  await hosts.unmounted(desk.at, async () => {
    await desk.create({ path: paths.fresh(), isNew: true }, desk.at);
    await desk.delete(vm, true);
    await desk.create({ path: paths.contended(campaign.random), isNew: true }, desk.at);
  });
}

/** A domain that other tools run on two hosts, without a disk, is shown by each of the two as its own. */
export async function twins(campaign: Campaign): Promise<void> {
  const { hosts, ledger, cluster } = campaign;
  const pair = campaign.pickTwo();
  const uuid = crypto.randomUUID();
  const act = ledger.begin(`other tools: domain ${uuid} runs on hosts ${pair.join(" and ")}`, undefined);
  const told = async (n: number) => {
    const { body } = await ask(`${cluster.hosts[n - 1]?.api}/vms/${uuid}/runstate`, "GET");
    const { host, runstate } = body as { host?: string; runstate?: number };
    return { host, runstate };
  };
  campaign.exempt.add(uuid);
  try {
    for (const n of pair) {
      await defineIdleGuest(hosts.cluster.host(n), uuid);
      await hosts.cluster.host(n).exec(["virsh", "start", uuid]);
    }
    const isOwn = async (n: number) => {
      const { host, runstate } = await told(n);
      return host === hosts.cluster.uuid(n) && runstate === 4;
    };
    const known = pair.map((n) =>
      until("a host to know its own guest", async () => await isOwn(n) || undefined, HEARD_MS)
    );
    await Promise.allSettled(known);
    for (let look = 0; look < LOOKS; look++) {
      for (const n of pair) {
        if (await isOwn(n)) continue;
        const said = JSON.stringify(await told(n));
        campaign.fail(`${hosts.cluster.host(n).name} runs domain ${uuid}, and says of it ${said}`);
      }
      await pause(200);
    }
  } finally {
    for (const n of pair) {
      await hosts.cluster.host(n).run(["virsh", "destroy", uuid]);
      await hosts.cluster.host(n).run(["virsh", "undefine", uuid]);
    }
    await forgotten(campaign, uuid);
    campaign.exempt.delete(uuid);
    ledger.end(act, "accepted");
  }
}

/** Removes what the registries have of a domain that is gone: who undefined it with virsh could have it back from there. */
async function forgotten({ hosts, cluster }: Campaign, uuid: string): Promise<void> {
  await until("all hosts to know that a domain is gone", async () => {
    const known = await Promise.all(hosts.numbers.map((n) => hosts.cluster.vm(n, uuid)));
    return known.every((entry) => entry === undefined) || undefined;
  }, HEARD_MS);
  for (const n of hosts.numbers) {
    await Deno.remove(`${cluster.storage}/xml/${hosts.cluster.uuid(n)}/${uuid}.xml`).catch(() => {});
  }
}

/** VMs are made and deleted, and nobody may list them afterwards. */
export async function shortLives({ desks, ledger, paths }: Campaign): Promise<void> {
  await Promise.all(desks.map(async (desk) => {
    for (let round = 0; round < 3; round++) {
      const vm = ledger.newVm();
      if (await desk.create({ path: paths.fresh(), isNew: true }, desk.at, vm) !== "accepted") continue;
      await desk.boot(vm);
      await desk.forceOff(vm);
      await desk.delete(vm, true);
    }
  }));
}

/** A host dies in the middle of a change, and comes back. */
export async function halfDone(campaign: Campaign): Promise<void> {
  const { desks, hosts, ledger, paths } = campaign;
  const desk = campaign.pick(desks);
  const points = [
    "create.defined",
    "create.registered",
    "storage.linked",
    "create.committed",
    "create.prepared",
  ];
  await hosts.restart(desk.at, { env: { VIRTX_TEST_STOP_AT: campaign.pick(points) } });
  await hosts.complete();
  const creation = desk.create({ path: paths.fresh(), isNew: true }, desk.at, ledger.newVm());
  await hosts.halted(desk.at, HEARD_MS);
  await hosts.outage(desk.at, async () => void await creation);
}

function markRemoved({ ledger }: Pick<Campaign, "ledger">, path: string): void {
  for (const file of ledger.files.values()) if (file.path === path) file.removedByHand = true;
}
