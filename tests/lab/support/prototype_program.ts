/**
 * A host of the prototype, as far as others meet one: it tells Serf of itself and of what its libvirt has, lets the newest word on a
 * VM count, and serves the operations of its API that a migration takes (protocol.md §1–3). Written after that page, not after
 * virtxd: what it knows of VMs it has from virsh, and it moves them by virsh.
 *
 * Arguments: JSON of {@link PrototypeArguments}.
 */
import { decodeRecord, encodeHostInfo, encodeVmEvent, encodeVmInfo } from "../../../lib/cluster/records.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { HostState, MigrationType, Runstate } from "../../../lib/model/enums.ts";
import type { VmInfo } from "../../../lib/model/vm.ts";
import { SerfAgent } from "../../../lib/serf/agent.ts";

export interface PrototypeArguments {
  readonly uuid: string;
  readonly name: string;
  readonly address: string;
  readonly serf: string;
  /** What runs a program on the host, before its own arguments. */
  readonly enter: readonly string[];
  /** Addresses of the other hosts, by UUID. */
  readonly others: Readonly<Record<string, string>>;
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

const CYCLE_MS = 15_000, LOOK_MS = 300;

const STATES: Readonly<Record<string, Runstate>> = {
  "running": Runstate.running,
  "paused": Runstate.paused,
  "shut off": Runstate.poweroff,
  "crashed": Runstate.crashed,
};

class Prototype {
  readonly #o: PrototypeArguments;
  readonly #agent: SerfAgent;
  /** The newest word on each VM, also that it was deleted. */
  readonly #words = new Map<string, Partial<VmInfo> & Pick<VmInfo, "uuid" | "host" | "runstate" | "ts">>();
  #mine = new Map<string, VmInfo>();

  constructor(o: PrototypeArguments, agent: SerfAgent) {
    this.#o = o;
    this.#agent = agent;
  }

  async run(): Promise<void> {
    await this.#agent.setTags({ uuid: this.#o.uuid });
    const listening = this.#listen();
    const server = Deno.serve(
      { hostname: this.#o.address, port: 8080, onListen: () => print("ready") },
      (request) =>
        this.#answer(request).catch((error) => {
          print(`failed: ${error}`);
          return new Response(String(error), { status: 424 });
        }),
    );
    let said = -Infinity;
    for (;;) {
      const cycle = performance.now() - said >= CYCLE_MS;
      if (cycle) {
        said = performance.now();
        await this.#sayHost();
      }
      try {
        await this.#look(cycle);
      } catch (error) { // libvirtd is away; it is tried again, as the prototype does
        print(`cannot look: ${error}`);
      }
      const ended = await Promise.race([
        listening.then(() => true),
        server.finished.then(() => true),
        new Promise<false>((resolve) => setTimeout(resolve, LOOK_MS, false)),
      ]);
      if (ended) return;
    }
  }

  async #listen(): Promise<void> {
    for await (const event of this.#agent.events) {
      if (event.kind !== "user") continue;
      const record = decodeRecord(event.name, event.payload);
      if (record?.kind === "vm") this.#hear(record.vm);
      if (record?.kind === "event") this.#hear(record.event);
    }
  }

  /** Older records lose to newer ones by ts, also when the newer one is of another host. */
  #hear(word: Partial<VmInfo> & Pick<VmInfo, "uuid" | "host" | "runstate" | "ts">): void {
    const known = this.#words.get(word.uuid);
    if (known && known.ts > word.ts) return;
    this.#words.set(word.uuid, { ...known, ...word });
  }

  async #sayHost(): Promise<void> {
    const { uuid, name } = this.#o;
    const payload = encodeHostInfo({
      uuid,
      name,
      arch: "x86_64",
      vendor: "AMD",
      model: "EPYC",
      nodes: 1,
      sockets: 1,
      cores: 2,
      threads: 1,
      cstate: HostState.active,
      memoryavailable: 4_000,
      hpavailable: 0,
      osid: "opensuse",
      osv: "15.6",
      ts: Date.now(),
    });
    if (payload) await this.#agent.userEvent("HI", payload);
  }

  /** Says what has changed in libvirt: VI when a domain is defined, and in each cycle; VE on every other change. */
  async #look(cycle: boolean): Promise<void> {
    const now = new Map<string, VmInfo>();
    for (const line of (await this.#virsh("list", "--all", "--uuid", "--persistent")).split("\n")) {
      const uuid = line.trim();
      if (uuid === "") continue;
      const state = (await this.#virsh("domstate", uuid).catch(() => "")).trim();
      const before = this.#mine.get(uuid);
      const runstate = STATES[state] ?? Runstate.migrating;
      const name = before?.name ?? (await this.#virsh("desc", "--title", uuid).catch(() => "")).trim();
      const ts = before?.runstate === runstate && !cycle ? before.ts : Date.now();
      now.set(uuid, { uuid, name, host: this.#o.uuid, runstate, vlanid: 0, custom: [], vcpus: 1, ts });
    }
    const before = this.#mine;
    this.#mine = now;
    for (const vm of now.values()) {
      const known = before.get(vm.uuid);
      if (known?.runstate === vm.runstate && !cycle) continue;
      this.#hear(vm);
      const payload = known && !cycle ? encodeVmEvent(vm) : encodeVmInfo(vm);
      if (payload) await this.#agent.userEvent(known && !cycle ? "VE" : "VI", payload);
    }
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const body = request.body === null ? null : await request.json();
    const [, , uuid = "", verb = ""] = pathname.split("/");
    switch (`${request.method} ${verb || pathname}`) {
      case "GET /vms": {
        const items = [...this.#words.values()]
          .filter(({ runstate }) => runstate !== Runstate.deleted)
          .map(({ uuid, ...fields }) => ({ uuid, fields }));
        return Response.json({ items });
      }
      case "PUT register":
        print(`registered ${uuid}`);
        await this.#register(uuid);
        return new Response(null, { status: 200 });
      case "POST runstate":
        if (!pathname.endsWith("/migrate")) break;
        await this.#migrate(uuid, body);
        return new Response(null, { status: 202 });
    }
    return new Response(null, { status: 404 });
  }

  async #register(vm: string): Promise<void> {
    const path = `/vms/xml/${this.#o.uuid}/${vm}.xml`;
    await this.#on("sh", "-c", `virsh dumpxml --inactive ${vm} > ${path}.tmp && mv ${path}.tmp ${path}`);
  }

  async #migrate(vm: string, o: { readonly host: string; readonly migration_type: MigrationType }) {
    const live = o.migration_type === MigrationType.live ? "--live" : "--offline";
    const there = `qemu+tcp://${this.#o.others[o.host]}/system`;
    await this.#virsh("migrate", live, "--p2p", "--persistent", "--undefinesource", vm, there);
    await this.#on("mv", `/vms/xml/${this.#o.uuid}/${vm}.xml`, `/vms/xml/${o.host}/${vm}.xml`);
  }

  #virsh(...args: readonly string[]): Promise<string> {
    return this.#on("virsh", "--quiet", ...args);
  }

  async #on(...argv: readonly string[]): Promise<string> {
    const [program = "", ...args] = [...this.#o.enter, ...argv];
    const { code, stdout, stderr } = await new Deno.Command(program, { args }).output();
    if (code !== 0) throw new Error(`${argv.join(" ")}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout);
  }
}

if (import.meta.main) {
  const o = JSON.parse(Deno.args[0] ?? "") as PrototypeArguments;
  await using agent = await SerfAgent.open({ address: o.serf, log: silentLogger });
  await new Prototype(o, agent).run();
}
