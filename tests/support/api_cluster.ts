import type { ApiOptions } from "../../lib/api/app.ts";
import { PeerClocks } from "../../lib/api/arrival.ts";
import { Listeners } from "../../lib/api/listen.ts";
import { Transport } from "../../lib/api/transport.ts";
import type { HostMember } from "../../lib/cluster/members.ts";
import type { Peer } from "../../lib/cluster/ports.ts";
import { HostState } from "../../lib/model/enums.ts";
import type { VmInfo } from "../../lib/model/vm.ts";
import { type ApiFixture, apiFixture } from "./api_fixture.ts";
import { hostEntry, numberedUuid } from "./vm_info.ts";

/** One of several hosts, each with an API that listens, an inventory and VMs of its own. */
export interface ApiHost extends ApiFixture {
  readonly uuid: string;
  readonly name: string;
  /** `http://127.0.0.1:port` */
  readonly url: string;
  /** Sends a request over the network; a body is sent as JSON. */
  send(method: string, path: string, body?: unknown, init?: RequestInit): Promise<Response>;
  /** Accepts no more, as a host that has died. */
  stop(): Promise<void>;
}

/** Some hosts that know each other; what gossip would do, the test does. */
export class ApiCluster implements AsyncDisposable {
  readonly hosts: readonly ApiHost[];
  /** As each host's Serf has it. */
  readonly members: Map<string, HostMember>;
  /** What hosts could not understand of others, and whose it was. */
  readonly complaints: readonly string[];
  readonly #held: AsyncDisposableStack;

  readonly #tell: (from: string, to: string) => void;
  readonly #doubt: { reason: string | undefined };

  private constructor(
    hosts: readonly ApiHost[],
    members: Map<string, HostMember>,
    { complaints, tell, doubt, held }: {
      readonly complaints: readonly string[];
      readonly tell: (from: string, to: string) => void;
      readonly doubt: { reason: string | undefined };
      readonly held: AsyncDisposableStack;
    },
  ) {
    this.hosts = hosts;
    this.members = members;
    this.complaints = complaints;
    this.#tell = tell;
    this.#doubt = doubt;
    this.#held = held;
  }

  static async start(count: number, overrides: Partial<ApiOptions> = {}): Promise<ApiCluster> {
    await using held = new AsyncDisposableStack();
    const members = new Map<string, HostMember>();
    const complaints: string[] = [];
    const transport = held.use(new Transport({ clocks: new PeerClocks() }));
    const hosts: ApiHost[] = [];
    const doubt: { reason: string | undefined } = { reason: undefined };
    for (let number = 1; number <= count; number++) {
      const uuid = numberedUuid(1000 * number);
      const name = `virt${number}`;
      const cluster = {
        member: (uuid: string) => members.get(uuid),
        vector: () => undefined,
        states: () => [],
        catchUp: (from: string) => Promise.resolve(tell(from, uuid)),
        staleSince: undefined,
        misunderstood: ({ name }: Peer, reason: string) => void complaints.push(`${name}: ${reason}`),
        get unsure() {
          return doubt.reason;
        },
      };
      const fixture = apiFixture({ hostUuid: uuid, cluster, transport, ...overrides });
      const listeners = held.use(await Listeners.open(fixture.app, [{ hostname: "127.0.0.1", port: 0 }]));
      const url = listeners.addresses[0] ?? "";
      const peer = { uuid, name, address: "127.0.0.1", port: Number(new URL(url).port), prototype: false };
      members.set(uuid, { peer, cstate: HostState.active });
      hosts.push({
        ...fixture,
        uuid,
        name,
        url,
        send: (method, path, body, init = {}) =>
          fetch(url + path, {
            method,
            ...init,
            headers: { ...(body !== undefined && { "content-type": "application/json" }), ...init.headers },
            ...(body !== undefined && { body: JSON.stringify(body) }),
          }),
        stop: async () => void await listeners.close(1_000),
      });
    }
    const tell = (from: string, to: string) => {
      const [speaker, listener] = [from, to].map((uuid) => hosts.find((host) => host.uuid === uuid));
      const infos: VmInfo[] = [...speaker?.inventory.claimsOf(from).values() ?? []];
      if (speaker !== listener) listener?.inventory.replaceVmsOf(from, infos);
    };
    for (const { inventory } of hosts) {
      for (const { uuid, name } of hosts) {
        inventory.putHost(hostEntry({ uuid, def: { ...hostEntry().def, name } }));
      }
    }
    return new ApiCluster(hosts, members, { complaints, tell, doubt, held: held.move() });
  }

  /** That host; the first is 0. */
  host(at: number): ApiHost {
    const host = this.hosts[at];
    if (!host) throw new RangeError(`there is no host ${at}`);
    return host;
  }

  /** Why all hosts believe that they may not know all VMs. */
  set unsure(reason: string | undefined) {
    this.#doubt.reason = reason;
  }

  /** Tells the others all that a host has, as gossip would. */
  gossip(): void {
    for (const { uuid: from } of this.hosts) {
      for (const { uuid: to } of this.hosts) this.#tell(from, to);
    }
  }

  /** Has Serf see a host in that state. */
  turn(at: number, cstate: HostState): void {
    const { uuid } = this.host(at);
    const member = this.members.get(uuid);
    if (member) this.members.set(uuid, { ...member, cstate });
    for (const host of this.hosts) if (host.uuid !== uuid) host.inventory.setHostState(uuid, cstate);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#held.disposeAsync();
  }
}
