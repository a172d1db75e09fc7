import { run } from "../command.ts";
import type { Progress } from "../progress.ts";
import { isReady, LabHost, markReady } from "./host.ts";
import { buildSwitch, chooseSubnet, hostAddress, uplinkName } from "./network.ts";
import { endRealms, Realm } from "./realm.ts";
import { isRunning } from "./process_identity.ts";
import { aliveMembers } from "./services.ts";
import {
  BASE,
  checkName,
  type HostRecord,
  labDirectory,
  labNames,
  type LabRecord,
  lockLabs,
  readLab,
  writeLab,
} from "./state.ts";
import { until } from "./until.ts";

/** Labs of more hosts than this are surely a typing mistake; the addresses would end at 244. */
const MOST_HOSTS = 100;

export interface LabOptions {
  readonly name: string;
  /** At least so many hosts; a lab that has more keeps them. */
  readonly hosts: number;
  readonly progress: Progress;
  /** See {@link LabRecord.owner}. */
  readonly owner?: LabRecord["owner"];
}

/** A lab: hosts on a network, with shared storage. Needs root. */
export class Lab {
  private constructor(readonly record: LabRecord) {}

  /** A lab that was started before. */
  static async find(name: string): Promise<Lab | undefined> {
    const record = await readLab(checkName(name));
    return record && new Lab(record);
  }

  /** Starts a lab, or adds hosts to one, or repairs what is not in order in it. */
  static async up(options: LabOptions): Promise<Lab> {
    await using _lock = await lockLabs();
    const { progress } = options;
    const lab = new Lab(await plan(options));
    const lan = await progress.step(
      `Lab ${lab.record.name}: network ${lab.record.subnet}.0/24`,
      () => lab.#network(),
    );
    await Promise.all(
      lab.hosts.map((host) =>
        progress.step(`Host ${host.name} at ${host.address}: libvirtd, Serf`, () => host.up(lan))
      ),
    );
    if (lab.hosts.length > 1) {
      await progress.step(`Serf: ${lab.hosts.length} members know each other`, () => lab.#joined());
    }
    return lab;
  }

  /** Ends everything that belongs to a lab, in whatever state it is, and removes its files. */
  static async down(name: string): Promise<void> {
    const directory = labDirectory(name);
    await using _lock = await lockLabs();
    const record = await readLab(name);
    if (record) {
      await endRealms((key) => key.startsWith(`${record.id}/`));
      await uplinkGone(record.uplink);
    }
    await removeTree(directory);
  }

  /** Ends the labs whose owner (a test run, say) is no more. */
  static async downOrphans(): Promise<void> {
    for (const name of await labNames()) {
      const owner = (await readLab(name))?.owner;
      if (owner && !await isRunning(owner)) await Lab.down(name);
    }
  }

  get name(): string {
    return this.record.name;
  }

  get hosts(): LabHost[] {
    return this.record.hosts.map((record) => new LabHost(this.record, record));
  }

  host(name: string): LabHost {
    const host = this.hosts.find((candidate) => candidate.name === name);
    if (host) return host;
    throw new Error(
      `Lab ${this.name} has no host "${name}", but ${this.hosts.map((each) => each.name).join(", ")}`,
    );
  }

  /** Starts a host again after {@link LabHost.crash}, or what is missing on it. */
  async boot(host: LabHost): Promise<void> {
    await using _lock = await lockLabs();
    await host.up(await this.#network());
  }

  /** Waits until every host's agent knows that all hosts are alive. */
  async #joined(): Promise<void> {
    await until("the Serf agents to know each other", async () => {
      const seen = await Promise.all(this.hosts.map(aliveMembers));
      return seen.every((names) => this.hosts.every((host) => names.includes(host.name))) || undefined;
    }, 20_000);
  }

  /** The realm of the switch, started if need be. */
  async #network(): Promise<Realm> {
    const directory = `${labDirectory(this.name)}/switch`;
    const key = `${this.record.id}/switch`;
    const found = await Realm.find(key);
    if (found && await isReady(directory, found)) return found;
    await found?.end();
    await Deno.mkdir(directory, { recursive: true });
    const realm = await Realm.start(key, ["net"]);
    await buildSwitch(this.record, realm);
    await markReady(directory, realm);
    return realm;
  }
}

/** Writes down what the lab shall be: what it is already, and what it lacks. */
async function plan(options: LabOptions): Promise<LabRecord> {
  const name = checkName(options.name);
  if (!(options.hosts >= 1 && options.hosts <= MOST_HOSTS)) {
    throw new Error(`A lab has 1 to ${MOST_HOSTS} hosts, not ${options.hosts}`);
  }
  const others = (await Promise.all((await labNames()).map(readLab))).filter((lab) => lab !== undefined);
  const old = others.find((lab) => lab.name === name);
  const subnet = old?.subnet ?? await chooseSubnet(name, others);
  const hosts: HostRecord[] = [...(old?.hosts ?? [])];
  for (let n = hosts.length + 1; n <= options.hosts; n++) {
    hosts.push({
      name: `virt${n}`,
      uuid: crypto.randomUUID(),
      machineId: crypto.randomUUID().replaceAll("-", ""),
      address: hostAddress(subnet, n),
    });
  }
  const id = old?.id ?? crypto.randomUUID();
  const owner = options.owner ?? old?.owner;
  const record: LabRecord = { name, id, subnet, uplink: uplinkName(id), hosts, ...(owner && { owner }) };
  await writeLab(record);
  await Deno.mkdir(`${labDirectory(name)}/vms/ds`, { recursive: true });
  return record;
}

/** The kernel removes the uplink some time after the switch's namespace has gone; its owner, if that is too slow, at once. */
async function uplinkGone(uplink: string): Promise<void> {
  await run(["ip", "link", "delete", uplink]);
  await until(`network device ${uplink} to go`, async () => {
    const { code } = await run(["ip", "link", "show", uplink]);
    return code === 0 ? undefined : true;
  }, 10_000);
}

/** Removes a lab's directory, but only if nothing is mounted below it. */
async function removeTree(directory: string): Promise<void> {
  const mounts = (await Deno.readTextFile("/proc/self/mountinfo")).split("\n").map((line) =>
    line.split(" ")[4] ?? ""
  );
  const below = mounts.find((path) => path.startsWith(`${directory}/`));
  if (below !== undefined) throw new Error(`Cannot remove ${directory}: something is mounted on ${below}`);
  if (!directory.startsWith(`${BASE}/`)) {
    throw new Error(`Cannot remove ${directory}: it is not below ${BASE}`);
  }
  await Deno.remove(directory, { recursive: true }).catch((error: unknown) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}
