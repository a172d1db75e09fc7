import { freeze, kill } from "../../../scripts/lab/faults/processes.ts";
import type { LabHost } from "../../../scripts/lab/host.ts";
import { until } from "../../../scripts/lab/until.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { seededRandom } from "../../support/virtual_time.ts";
import { disk, SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { FuseStorage } from "../../lab/support/fuse_storage.ts";
import { LabDaemon } from "../../lab/support/lab_daemon.ts";
import { settled } from "../../lab/support/invariants.ts";
import { TestLab } from "../../lab/support/test_lab.ts";
import type { Abuse, Tally } from "./abuser.ts";
import { type Experience, GoodClient } from "./good_client.ts";

const ABUSER = new URL("abuser.ts", import.meta.url);
/** Hosts with virtxd; the last host of the lab is the abuser's. */
const HOSTS = 3;
/** VMs on each host whose QEMU is stopped now and then. */
const VICTIMS = 4;
/** How long an answer that a good client waits for may take before it counts as none. */
const PATIENCE_MS = 30_000;
const READ_PAUSE_MS = 20, CHANGE_PAUSE_MS = 500;
const SOCKET = "/run/virtxd/virtxd.sock";

/** What came of a run. */
export interface Account {
  readonly abuse: Tally;
  /** How often each fault was made. */
  readonly faults: Readonly<Record<string, number>>;
  readonly reads: Experience;
  /** Pauses and resumes of VMs that nothing is wrong with, but for libvirt being away at times. */
  readonly changes: Experience;
  /** MiB, of each daemon at its highest. */
  readonly peakMiB: readonly number[];
  /** What each daemon said that it must not say. */
  readonly complaints: readonly string[];
}

/** A host with virtxd, and the VMs on it. */
interface Target {
  readonly host: LabHost;
  readonly daemon: LabDaemon;
  /** Its /vms. */
  readonly storage: FuseStorage;
  /** The pid that must be there to the end. */
  readonly pid: number;
  readonly healthy: string;
  readonly victims: readonly string[];
}

/** Hosts that are treated badly for a while, and good clients that go on using them. */
export class Soak implements AsyncDisposable {
  readonly #random: () => number;
  readonly #faults: Record<string, number> = {};

  private constructor(
    readonly lab: TestLab,
    readonly targets: readonly Target[],
    readonly seed: number,
    readonly held: AsyncDisposableStack,
  ) {
    this.#random = seededRandom(seed);
  }

  static async up(seed: number): Promise<Soak> {
    await using held = new AsyncDisposableStack();
    const lab = held.use(await TestLab.up({ hosts: HOSTS + 1 }));
    const targets: Target[] = [];
    for (let n = 1; n <= HOSTS; n++) {
      const host = lab.host(n);
      const storage = held.use(await FuseStorage.mount(host));
      const daemon = held.use(await LabDaemon.start(host));
      const { pid } = daemon.process;
      if (pid === undefined) throw new Error(`virtxd on ${host.name} has ended`);
      const create = (name: string) => runningVm(daemon, `${name}-${n}`);
      const victims = [];
      for (let v = 1; v <= VICTIMS; v++) victims.push(await create(`victim${v}`));
      targets.push({ host, daemon, storage, pid, healthy: await create("healthy"), victims });
    }
    return new Soak(lab, targets, seed, held.move());
  }

  /** Goes on for so long, then sees whether all is well again. */
  async run(ms: number): Promise<Account> {
    const over = AbortSignal.timeout(ms);
    await using abuser = await this.#startAbuser();
    using reads = new Clients(this.targets, PATIENCE_MS);
    using changes = new Clients(this.targets, PATIENCE_MS);
    const peaks = this.targets.map(() => 0);
    await Promise.all([
      ...this.targets.map((target, at) => this.#read(reads.of(at), target, over)),
      ...this.targets.map((target, at) => this.#change(changes.of(at), target, over)),
      this.#makeFaults(over),
      this.#watchMemory(peaks, over),
    ]);
    const abuse = await abuser.end();
    await this.#recovered();
    return {
      abuse,
      faults: this.#faults,
      reads: reads.experience,
      changes: changes.experience,
      peakMiB: peaks,
      complaints: this.#complaints(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.held.disposeAsync();
  }

  async #startAbuser(): Promise<Abuser> {
    const own = this.lab.host(HOSTS + 1);
    const abuse: Abuse = {
      hosts: this.targets.map(({ host }) => ({ uuid: host.record.uuid, address: host.address })),
      vms: this.targets.flatMap(({ victims }) => victims),
      agent: "127.0.0.1:7373",
      seed: this.seed,
    };
    const argv = [Deno.execPath(), "run", "--allow-all", "--no-check", ABUSER.href, JSON.stringify(abuse)];
    return new Abuser((await own.realm()).enter(["net"], argv));
  }

  async #read(client: GoodClient, { healthy }: Target, over: AbortSignal): Promise<void> {
    const others = this.targets.map(({ healthy }) => healthy);
    const paths = [
      "/vms",
      "/hosts",
      `/vms/${healthy}/runstate`,
      ...others.map((vm) => `/vms/${vm}/runstate`),
    ];
    for (let n = 0; !over.aborted; n++) {
      await client.ask("GET", paths[n % paths.length] ?? "");
      await pause(READ_PAUSE_MS);
    }
  }

  async #change(client: GoodClient, { healthy }: Target, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await client.ask("POST", `/vms/${healthy}/runstate/pause`, null);
      await client.ask("DELETE", `/vms/${healthy}/runstate/pause`, null);
      await pause(CHANGE_PAUSE_MS);
    }
  }

  async #makeFaults(over: AbortSignal): Promise<void> {
    const kinds = [
      () => this.#hangGuests(),
      () => this.#killLibvirtd(),
      () => this.#hangStorage(),
    ];
    for (let n = 0; !over.aborted; n++) {
      await kinds[n % kinds.length]?.();
      await pause(2_000);
    }
  }

  /** All victims of a host stop, each while something is wanted of it. */
  async #hangGuests(): Promise<void> {
    const { host, daemon, victims } = this.#pick();
    await using frozen = new AsyncDisposableStack();
    for (const vm of victims) {
      const state = await daemon.runstate(vm).catch(() => undefined);
      if (state === Runstate.running) frozen.use(await freeze(host, { guest: vm }));
    }
    using impatient = new Clients([{ host, daemon }], 1_000);
    await Promise.all(victims.map((vm) => impatient.of(0).ask("POST", `/vms/${vm}/runstate/pause`, null)));
    this.#count("guests hung");
    await pause(15_000);
    await frozen.disposeAsync();
    await Promise.all(victims.map((vm) => impatient.of(0).ask("DELETE", `/vms/${vm}/runstate/pause`, null)));
  }

  async #killLibvirtd(): Promise<void> {
    const { host } = this.#pick();
    await kill(host, "libvirtd");
    await pause(3_000);
    await this.lab.lab.boot(host);
    this.#count("libvirtd killed");
    await pause(8_000);
  }

  /** The storage of a host answers nothing, while VMs are to be made there. */
  async #hangStorage(): Promise<void> {
    const { host, daemon, storage } = this.#pick();
    using impatient = new Clients([{ host, daemon }], 1_000);
    {
      using _hang = storage.hang();
      const create = (n: number) => {
        const osdisk = disk(`/vms/ds/hung${n}-${crypto.randomUUID()}.qcow2`, { man: 1, prov: 1, size: 16 });
        return impatient.of(0).ask("POST", "/vms", {
          vmdef: { ...SMALL_VMDEF, name: `hung${n}`, osdisk },
          host: "",
        });
      };
      await Promise.all(Array.from({ length: 20 }, (_, n) => create(n)));
      this.#count("storage hung");
      await pause(15_000);
    }
    await pause(5_000);
  }

  #count(fault: string): void {
    this.#faults[fault] = (this.#faults[fault] ?? 0) + 1;
  }

  #pick(): Target {
    const target = this.targets[Math.floor(this.#random() * this.targets.length)];
    if (!target) throw new Error("There are no hosts");
    return target;
  }

  async #watchMemory(peaks: number[], over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      for (const [at, { pid }] of this.targets.entries()) {
        peaks[at] = Math.max(peaks[at] ?? 0, await residentMiB(pid));
      }
      await pause(1_000);
    }
  }

  /** When nobody does harm any more, all is as it must be, and every host says so. */
  async #recovered(): Promise<void> {
    for (const { daemon, host } of this.targets) {
      await until(
        `virtxd on ${host.name} to be well`,
        async () => {
          const { body } = await daemon.api.request("GET", "/readyz").catch((error) => ({ body: error }));
          const well = body as { ready?: boolean; degraded?: readonly string[] };
          return (well.ready === true && well.degraded?.length === 0) || undefined;
        },
        120_000,
        500,
      );
    }
    // The abuser's host has no virtxd, and is none of theirs.
    await settled(this.targets.map(({ host, daemon }) => ({ host, api: daemon.url })), 30_000);
  }

  #complaints(): string[] {
    return this.targets.flatMap(({ host, daemon, pid }) => [
      ...daemon.process.pid === pid ? [] : [`virtxd on ${host.name} has ended`],
      ...daemon.process.output.split("\n").filter((line) => line.includes("unexpected error")).map((line) =>
        `${host.name}: ${line}`
      ),
    ]);
  }
}

/** A client for each target, at its unix socket: whoever abuses the network is not in its way. */
class Clients implements Disposable {
  readonly #clients: readonly GoodClient[];

  constructor(targets: readonly Pick<Target, "host" | "daemon">[], timeoutMs: number) {
    this.#clients = targets.map(({ daemon }) =>
      new GoodClient(`unix:/proc/${daemon.process.pid}/root${SOCKET}`, timeoutMs)
    );
  }

  of(at: number): GoodClient {
    const client = this.#clients[at];
    if (!client) throw new Error(`There is no client ${at}`);
    return client;
  }

  get experience(): Experience {
    return {
      ms: this.#clients.flatMap(({ experience }) => experience.ms),
      failures: this.#clients.flatMap(({ experience }) => experience.failures),
    };
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client[Symbol.dispose]();
  }
}

/** The process that behaves badly. */
class Abuser implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;

  constructor([program = "", ...args]: readonly string[]) {
    this.#process = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
  }

  /** Ends it; what it has done. */
  async end(): Promise<Tally> {
    await this.#process.stdin.close();
    const { stdout } = await this.#process.output();
    return JSON.parse(new TextDecoder().decode(stdout)) as Tally;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
      await this.#process.stdin.close();
      await this.#process.output();
    } catch {
      // It has ended already.
    }
  }
}

async function runningVm(daemon: LabDaemon, name: string): Promise<string> {
  const osdisk = disk(`/vms/ds/${name}.qcow2`, { man: 1, prov: 1, size: 16 });
  const vmdef = { ...SMALL_VMDEF, name, osdisk, memory: { total: 64, hp: false } };
  const uuid = await daemon.json<string>("POST", "/vms", { vmdef, host: "" });
  await daemon.json("POST", `/vms/${uuid}/runstate/boot`, null);
  await daemon.until(uuid, Runstate.running);
  return uuid;
}

async function residentMiB(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => ""); // It has ended: told at the end.
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
