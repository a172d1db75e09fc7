import type { LabDaemonOptions } from "../../lab/support/lab_daemon.ts";
import { TestLab } from "../../lab/support/test_lab.ts";
import { seededRandom } from "../../support/virtual_time.ts";
import { labDirectory } from "../../../scripts/lab/state.ts";
import { print, seconds } from "../../../scripts/progress.ts";
import { type CheckedCluster, takeStock, violationsAtRest, Watch } from "./checker.ts";
import { Desk } from "./desk.ts";
import * as drills from "./drills.ts";
import { FAULTS, Hosts, pause } from "./faults.ts";
import { Ledger, type VmNote } from "./ledger.ts";
import { OtherTools } from "./tools.ts";

const HOSTS = 3;
/** As many VMs as the machine's two processors bear. */
const VMS = 8;
const PHASE_MS = 25_000;
const SETTLE_MS = 90_000;
const LOOK_MS = 500;
const TAIL = 40;
const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** What happens in a campaign. */
export interface Course {
  readonly seed: number;
  readonly ms: number;
  /** Drills of each phase, instead of one by chance; random acts and faults come only without them. */
  readonly drills?: readonly drills.Drill[];
  /** In which time everything must have come to rest, once nothing is done; 90 s unless told. */
  readonly restMs?: number;
  readonly daemon?: LabDaemonOptions;
}

const DRILLS = [
  drills.raceForDisk,
  drills.overtake,
  drills.lateDeletion,
  drills.sleepyDeletion,
  drills.changeWhatOthersMade,
  drills.raceToRegister,
  drills.withoutStorage,
  drills.twins,
  drills.shortLives,
  drills.halfDone,
];

/** The campaign has found something. */
export class Finding extends Error {
  override readonly name = "Finding";
}

/** Paths that VMs want: few that all hosts are after, and new ones. */
class Paths {
  #fresh = 0;
  readonly #contended = ["a.raw", "b.raw", "c.raw", "shared/d.raw", "shared/e.raw", "shared/deep/f.raw"];

  contended(random: () => number): string {
    return `/vms/ds/${this.#contended[Math.floor(random() * this.#contended.length)]}`;
  }

  fresh(): string {
    return `/vms/ds/own/n${++this.#fresh}.raw`;
  }
}

/**
 * Three hosts on which VMs are made, changed, moved and deleted by all at once, while other tools are at them too and hosts
 * fail. After each phase all that is not as it must be is looked for.
 */
export class Campaign implements AsyncDisposable {
  readonly random: () => number;
  readonly paths = new Paths();
  readonly desks: readonly Desk[];
  readonly tools: OtherTools;
  /** Domains that other tools have on two hosts on purpose. */
  readonly exempt = new Set<string>();
  readonly #found: string[] = [];

  private constructor(
    readonly course: Course,
    readonly hosts: Hosts,
    readonly ledger: Ledger,
    readonly cluster: CheckedCluster,
    readonly resources: AsyncDisposableStack,
  ) {
    this.random = seededRandom(course.seed);
    this.desks = hosts.numbers.map((n) => new Desk(cluster, n));
    this.tools = new OtherTools(cluster);
  }

  static async up(course: Course): Promise<Campaign> {
    await using resources = new AsyncDisposableStack();
    const lab = resources.use(await TestLab.up({ hosts: HOSTS }));
    const ledger = new Ledger();
    const hosts = resources.use(await Hosts.start(lab, ledger, course.daemon ?? {}));
    const cluster = { hosts: hosts.checked, storage: `${labDirectory(lab.name)}/vms`, ledger };
    return new Campaign(course, hosts, ledger, cluster, resources.move());
  }

  /** @throws Finding, telling all that a person needs to act; what else has failed, with the seed */
  async run(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      if (error instanceof Finding) throw error;
      throw new Error(`With seed ${this.course.seed}: ${error}`, { cause: error });
    }
  }

  async #run(): Promise<void> {
    const end = Date.now() + this.course.ms;
    for (let phase = 1; Date.now() < end; phase++) {
      const began = performance.now();
      await this.#watched(() => this.course.drills ? this.#drilled(this.course.drills) : this.#phase(phase));
      const busy = performance.now();
      await this.#rest();
      print(
        `  phase ${phase}: ${seconds(busy - began)}, at rest ${seconds(performance.now() - busy)} later; ` +
          `${this.ledger.acts.length} acts\n`,
      );
    }
  }

  /** How the acts ended. */
  get tally(): Readonly<Record<string, number>> {
    const kinds = this.ledger.acts.map(({ what, outcome }) =>
      `${/^(?:[^:]*): (?:virsh )?(\w+)/.exec(what)?.[1] ?? "seen"} ${outcome}`
    );
    return Object.fromEntries(
      [...Map.groupBy(kinds, (kind) => kind)].map(([kind, all]) => [kind, all.length]).sort(),
    );
  }

  fail(violation: string): void {
    this.#found.push(violation);
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[Math.floor(this.random() * choices.length)];
    if (choice === undefined) throw new Error("There is nothing to choose from");
    return choice;
  }

  /** Two hosts. */
  pickTwo(): readonly [number, number] {
    const one = this.pick(this.hosts.numbers);
    return [one, this.pick(this.hosts.numbers.filter((n) => n !== one))];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }

  async #drilled(all: readonly drills.Drill[]): Promise<void> {
    for (const drill of all) await this.#drill(drill);
  }

  async #drill(drill: drills.Drill): Promise<void> {
    this.ledger.end(this.ledger.begin(`drill: ${drill.name}`, undefined), "accepted");
    await drill(this);
  }

  /** A drill by itself, and then everything at once. */
  async #phase(phase: number): Promise<void> {
    const drill = DRILLS[(phase - 1 + this.course.seed) % DRILLS.length];
    if (drill) await this.#drill(drill);
    const over = Date.now() + PHASE_MS;
    await Promise.all([
      ...this.desks.map((desk) => this.#work(desk, over)),
      this.#useTools(over),
      this.#makeFaults(over),
    ]);
  }

  async #work(desk: Desk, over: number): Promise<void> {
    while (Date.now() < over) {
      await this.#act(desk);
      await pause(this.random() * 400);
    }
  }

  async #act(desk: Desk): Promise<unknown> {
    const { random, paths, ledger } = this;
    const number = () => this.pick(this.hosts.numbers);
    const wish = () => ({
      path: random() < 0.7 ? paths.contended(random) : paths.fresh(),
      isNew: random() < 0.6,
    });
    const vms = [...ledger.vms.values()].filter((vm) => vm.uuid !== undefined && !vm.reserved);
    const alive = vms.filter((vm) => ledger.existence(vm).may);
    if (alive.length < 3) return await desk.create(wish(), number());
    const vm = this.pick(alive);
    const isFull = alive.length >= VMS;
    const dice = Math.floor(random() * 100);
    if (dice < 16) {
      return isFull ? await desk.delete(vm, random() < 0.7) : await desk.create(wish(), number());
    }
    if (dice < 24) return await desk.update(vm, { add: wish() }, random() < 0.5);
    if (dice < 34) return await desk.update(vm, { remove: true, deletestorage: random() < 0.6 });
    if (dice < 38) return await desk.update(vm, {});
    if (dice < 48) return await desk.delete(vm, random() < 0.7, random() < 0.3);
    if (dice < 58) return await desk.boot(vm);
    if (dice < 70) return await desk.forceOff(vm);
    if (dice < 73) return random() < 0.5 ? await desk.pause(vm) : await desk.resume(vm);
    if (dice < 86) return await desk.migrate(vm, number(), random() < 0.4);
    if (dice < 92) return await this.#register(desk, random() < 0.5 ? vm : this.pick(vms));
    if (dice < 98) return await desk.trash("restore", (count) => Math.floor(random() * count));
    return await desk.trash("empty", (count) => Math.floor(random() * count));
  }

  /**
   * Registers a VM on the host that has it, or if none does, on the one in whose registry it is, or else on any: who registers it elsewhere while its host cannot be reached
   * has said that the host is gone, and would have two of it when the host comes back.
   */
  async #register(desk: Desk, vm: VmNote): Promise<void> {
    const home = await this.tools.definedOn(vm);
    const registrar = home === undefined ? await this.#registrar(vm.uuid ?? "") : this.desks[home];
    await desk.register(vm, registrar?.at ?? this.pick(this.hosts.numbers));
  }

  async #useTools(over: number): Promise<void> {
    const { tools, random } = this;
    while (Date.now() < over) {
      await pause(500 + random() * 2_000);
      const alive = this.#alive();
      if (alive.length === 0) continue;
      const vm = this.pick(alive);
      const dice = Math.floor(random() * 100);
      if (dice < 40) await tools.decorate(vm, this.pick(["metadata", "description", "channel"] as const));
      else if (dice < 52) await tools.attach(vm);
      else if (dice < 66) await tools.undefine(vm);
      else if (dice < 84) await tools.start(vm);
      else await tools.destroy(vm);
    }
  }

  async #makeFaults(over: number): Promise<void> {
    while (Date.now() < over) {
      await pause(this.random() * 4_000);
      if (Date.now() < over) {
        await this.hosts.make(this.pick(FAULTS), this.pick(this.hosts.numbers), this.random);
      }
    }
  }

  #alive(): VmNote[] {
    return this.ledger.vms.values().filter((vm) => vm.uuid !== undefined && this.ledger.existence(vm).may)
      .toArray();
  }

  /** Looks all the time, while a task runs, at what must hold at every instant. */
  async #watched(task: () => Promise<void>): Promise<void> {
    const watch = new Watch(this.cluster);
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        const seen = [...await watch.look(), ...this.hosts.deserters()];
        this.#found.push(
          ...seen.filter((violation) => ![...this.exempt].some((uuid) => violation.includes(uuid))),
        );
        if (this.#found.length > 0) return;
        await pause(LOOK_MS);
      }
    })();
    try {
      await task();
    } finally {
      isOver = true;
      await watching;
    }
    this.#throwFound();
  }

  /** Waits until all is as it must be. */
  async #rest(): Promise<void> {
    await this.hosts.reviveServices();
    await this.hosts.complete();
    const deadline = Date.now() + (this.course.restMs ?? SETTLE_MS);
    await this.#bringBack(deadline);
    for (;;) {
      const found = await violationsAtRest(this.cluster).catch((error) => [String(error)]);
      if (found.length === 0) break;
      if (Date.now() > deadline) {
        this.#found.push(...found);
        this.#throwFound();
      }
      await pause(1_000);
    }
    await takeStock(this.cluster);
    await this.hosts.age();
  }

  /** Has VMs that virsh undefined defined again, each by the host in whose registry it is. */
  async #bringBack(deadline: number): Promise<void> {
    let isAged = false;
    for (const vm of this.ledger.vms.values()) {
      const desk = vm.uuid === undefined ? undefined : await this.#registrar(vm.uuid);
      if (desk === undefined || await this.tools.hostOf(vm) !== undefined) continue;
      if (!isAged) await pause(3_000); // what is half done is settled first
      if (!isAged) await this.hosts.age();
      isAged = true;
      while (await desk.register(vm, desk.at) !== "accepted") {
        if (Date.now() > deadline) {
          this.fail(
            `VM "${vm.title}" is in a registry only, and cannot be registered: ${
              this.ledger.acts.at(-1)?.said
            }`,
          );
          return this.#throwFound();
        }
        await pause(2_000);
        if (await this.#registrar(vm.uuid ?? "") === undefined) break;
      }
    }
  }

  async #registrar(uuid: string): Promise<Desk | undefined> {
    for (const desk of this.desks) {
      const file = `${this.cluster.storage}/xml/${this.hosts.cluster.uuid(desk.at)}/${uuid}.xml`;
      if (await Deno.stat(file).then(() => true, () => false)) return desk;
    }
    return undefined;
  }

  #throwFound(): void {
    if (this.#found.length === 0) return;
    const { ledger, hosts, course } = this;
    const isHost = (uuid: string) => hosts.checked.some(({ host }) => host.record.uuid === uuid);
    const about = [...ledger.vms.values()].filter((vm) =>
      this.#found.some((violation) =>
        violation.includes(`"${vm.title}"`) || (vm.uuid && violation.includes(vm.uuid))
      )
    );
    const uuids = [
      ...about.flatMap(({ uuid }) => uuid ?? []),
      ...this.#found.flatMap((violation) => violation.match(UUID) ?? []).filter((uuid) => !isHost(uuid)),
    ];
    const logs = hosts.numbers.map((n) => {
      const lines = hosts.said(n).split("\n").filter((line) =>
        uuids.some((uuid) => line.includes(uuid)) ||
        (/"level":"(warn|error)"/.test(line) && !line.includes('"msg":"request'))
      );
      return `${hosts.cluster.host(n).name}:\n    ${lines.slice(-TAIL).join("\n    ")}`;
    });
    throw new Finding([
      `Seed ${course.seed} found what must not be (again: deno task test campaign/campaign_test.ts --seed ${course.seed}):`,
      ...[...new Set(this.#found)].map((violation) => `  ${violation}`),
      "What was done with these VMs:",
      ...ledger.tail(
        TAIL,
        ({ vm, outcome }) => vm !== undefined && about.includes(vm) && outcome !== "refused",
      ).map((line) => `  ${line}`),
      "What was done last:",
      ...ledger.tail(TAIL).map((line) => `  ${line}`),
      "What the daemons said:",
      ...logs.map((line) => `  ${line}`),
    ].join("\n"));
  }
}
