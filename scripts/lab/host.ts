import { type CommandOptions, type CommandOutput, must, run } from "../command.ts";
import { connectHost } from "./network.ts";
import { Realm } from "./realm.ts";
import { buildRoot, enterRoot, HOST_PATH } from "./rootfs.ts";
import {
  configureServices,
  daemonStatus,
  type ServiceHost,
  startDaemon,
  startLibvirtd,
  startSerf,
  stopDaemon,
  writeHosts,
} from "./services.ts";
import { type HostRecord, labDirectory, type LabRecord } from "./state.ts";

/** The environment of everything that is run on a host. */
const ENVIRONMENT = { PATH: HOST_PATH, HOME: "/root", LANG: "C.UTF-8", TERM: "dumb" };

/** What `status` tells about a host. */
export interface HostStatus {
  readonly name: string;
  readonly address: string;
  readonly uuid: string;
  /** The host's first process as the machine sees it; undefined: the host is down. */
  readonly pid: number | undefined;
  readonly libvirtd: boolean;
  readonly serf: boolean;
  /** Guests (QEMU processes). */
  readonly guests: number;
}

/** One host of a lab. It is an address, not a handle: the host may be up or down, and others may end it at any time. */
export class LabHost implements ServiceHost {
  readonly #directory: string;
  readonly #key: string;
  readonly #lab: LabRecord;

  constructor(lab: LabRecord, readonly record: HostRecord) {
    this.#lab = lab;
    this.#directory = `${labDirectory(lab.name)}/${record.name}`;
    this.#key = `${lab.id}/${record.name}`;
  }

  get name(): string {
    return this.record.name;
  }

  get address(): string {
    return this.record.address;
  }

  get disk(): string {
    return `${this.#directory}/root`;
  }

  /** Makes what is missing of the host, and starts what does not run on it; touches nothing that is in order. */
  async up(lan: Realm): Promise<void> {
    const directories = { host: this.#directory, vms: `${labDirectory(this.#lab.name)}/vms` };
    const found = await this.#ready();
    const realm = found ?? await this.#restart();
    if (!found) {
      await buildRoot(directories, this.record);
      await enterRoot(directories, realm, this.record);
    }
    await connectHost(this.record, realm, lan);
    await writeHosts(this, this.#lab);
    await configureServices(this, this.#lab);
    await markReady(this.#directory, realm);
    await Promise.all([startLibvirtd(this), startSerf(this)]);
  }

  /** Ends the host as a power failure would: every process on it is killed. Its files stay; `up` boots it again. */
  async crash(): Promise<void> {
    await (await Realm.find(this.#key))?.end();
  }

  /** Whether the host is on; what runs on it, {@link status} tells. */
  async isUp(): Promise<boolean> {
    return await Realm.find(this.#key) !== undefined;
  }

  /** The host's realm; fails if the host is down. */
  async realm(): Promise<Realm> {
    const realm = await Realm.find(this.#key);
    if (!realm) throw new Error(`Host ${this.name} of lab ${this.#lab.name} is down`);
    return realm;
  }

  /** The command that runs argv on the host, for who wants to run it in a way of their own. */
  async command(argv: readonly string[]): Promise<string[]> {
    const environment = Object.entries(ENVIRONMENT).map(([name, value]) => `${name}=${value}`);
    const realm = await this.realm();
    return realm.enter(["mount", "uts", "ipc", "net", "pid", "root"], ["env", "-i", ...environment, ...argv]);
  }

  /** Runs a program on the host to its end, whatever its exit code. */
  async run(argv: readonly string[], options: CommandOptions = {}): Promise<CommandOutput> {
    return await run(await this.command(argv), options);
  }

  /** Runs a program on the host that must succeed; its standard output. */
  async exec(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
    return await must(await this.command(argv), options);
  }

  /**
   * Starts a program that stays, unless it runs already: its output goes to /var/log/<name>.log.
   * @param argv with the program's full path
   */
  async startDaemon(name: string, argv: readonly string[]): Promise<void> {
    await this.exec(startDaemon(name, argv));
  }

  /** Ends a program that {@link startDaemon} started, or does nothing if it has ended. */
  async stopDaemon(name: string): Promise<void> {
    await this.exec(stopDaemon(name));
  }

  /** A path of the running host, as the machine sees it. */
  async path(path: string): Promise<string> {
    return `/proc/${(await this.realm()).pid}/root${path}`;
  }

  /** Puts a file of the machine on the host; an executable one stays so. */
  async install(file: string, path: string): Promise<void> {
    const target = await this.path(path);
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(file, target);
  }

  async status(): Promise<HostStatus> {
    const { name, address, uuid } = this.record;
    const realm = await Realm.find(this.#key);
    if (!realm) return { name, address, uuid, pid: undefined, libvirtd: false, serf: false, guests: 0 };
    const processes = await this.path("/proc");
    const [libvirtd, serf, guests] = await Promise.all([
      this.run(daemonStatus("libvirtd")),
      this.run(daemonStatus("serf")),
      countGuests(processes),
    ]);
    return {
      name,
      address,
      uuid,
      pid: realm.pid,
      libvirtd: libvirtd.code === 0,
      serf: serf.code === 0,
      guests,
    };
  }

  /** The running realm, if it was set up to the end. */
  async #ready(): Promise<Realm | undefined> {
    const realm = await Realm.find(this.#key);
    return realm && await isReady(this.#directory, realm) ? realm : undefined;
  }

  async #restart(): Promise<Realm> {
    await (await Realm.find(this.#key))?.end();
    await Deno.mkdir(this.#directory, { recursive: true });
    return await Realm.start(this.#key, ["mount", "uts", "ipc", "net"]);
  }
}

/** QEMU processes in a proc(5) file system. */
async function countGuests(proc: string): Promise<number> {
  let guests = 0;
  for await (const entry of Deno.readDir(proc)) {
    if (!/^\d+$/.test(entry.name)) continue;
    const name = await Deno.readTextFile(`${proc}/${entry.name}/comm`).catch(() => ""); // It may just have ended.
    if (name.startsWith("qemu-system")) guests++;
  }
  return guests;
}

/** Notes in the directory that this very realm is set up. One without the note is half-made and gets replaced. */
export async function markReady(directory: string, realm: Realm): Promise<void> {
  await Deno.writeTextFile(`${directory}/ready`, await realm.identity());
}

/** Whether {@link markReady} was reached for this realm. */
export async function isReady(directory: string, realm: Realm): Promise<boolean> {
  try {
    return await Deno.readTextFile(`${directory}/ready`) === await realm.identity();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
