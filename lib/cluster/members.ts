import { HostState } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { ToldStorage } from "../model/told_storage.ts";
import { isUuid } from "../model/uuid.ts";
import type { Member, Peer } from "./ports.ts";

/** The tags that virtxd sets on its Serf agent; the prototype sets `uuid` alone. */
export const TAGS = {
  /** The UUID of libvirt's host. */
  uuid: "uuid",
  /** The version of what is said beyond the prototype's protocol. */
  protocol: "virtxd",
  /** The port of the API. */
  api: "api",
  /** The id of its storage, by which hosts notice that they have different ones. */
  storage: "storage",
} as const;

/**
 * The version of what virtxd says beyond the prototype's protocol, and heeds of what is on shared storage: from 2 on the records of
 * who has a VM or a disk, the trash, and the storage's format, and hosts watch each other.
 */
const PROTOCOL = 2;

/** Where the prototype's API is, and virtxd's unless its tag says otherwise. */
const API_PORT = 8080;

/** A member that is a host. */
export interface HostMember {
  readonly peer: Peer;
  readonly cstate: HostState;
}

/** What changed about a host; undefined: it was not there before, or is not there any more. */
export interface MemberChange {
  readonly uuid: string;
  readonly before: HostMember | undefined;
  readonly after: HostMember | undefined;
}

const CLUSTER_STATES: Readonly<Record<Member["status"], HostState>> = {
  alive: HostState.active,
  leaving: HostState.left,
  left: HostState.left,
  failed: HostState.failed,
  none: HostState.failed,
};

/**
 * Which hosts there are: Serf's members, by the host's UUID in their tags. Of two live members with one UUID the one that was
 * here first stays, and the other is refused. (Serf itself sees to it that node names are unique.)
 */
export class Members {
  readonly #log: Logger;
  /** By node name. */
  readonly #members = new Map<string, Member>();
  /** The tags that members had while they were hosts, by node name. */
  readonly #hostTags = new Map<string, Member["tags"]>();
  /** By UUID. */
  readonly #hosts = new Map<string, HostMember>();
  /** The node names of those that were refused. */
  readonly #refused = new Set<string>();
  #alive = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** How many members are alive, hosts or not: those among whom Serf spreads events. */
  get alive(): number {
    return this.#alive;
  }

  /** Whether another live member claims to be this host. */
  isContested(uuid: string): boolean {
    return this.#refused.values().some((name) => this.#members.get(name)?.tags.get(TAGS.uuid) === uuid);
  }

  host(uuid: string): HostMember | undefined {
    return this.#hosts.get(uuid);
  }

  /** All hosts, this one among them. */
  hosts(): Iterable<HostMember> {
    return this.#hosts.values();
  }

  /** Takes over that these have changed. */
  update(members: readonly Member[]): readonly MemberChange[] {
    for (const member of members) {
      this.#members.set(member.name, member);
      if (isUuid(member.tags.get(TAGS.uuid) ?? "")) this.#hostTags.set(member.name, member.tags);
    }
    return this.#settle();
  }

  /** Takes over that Serf has forgotten these. */
  forget(members: readonly Member[]): readonly MemberChange[] {
    for (const { name } of members) {
      this.#members.delete(name);
      this.#hostTags.delete(name);
    }
    return this.#settle();
  }

  /** Takes over that these are all. */
  replace(members: readonly Member[]): readonly MemberChange[] {
    this.#members.clear();
    const present = new Set(members.map(({ name }) => name));
    for (const name of this.#hostTags.keys()) if (!present.has(name)) this.#hostTags.delete(name);
    return this.update(members);
  }

  #settle(): readonly MemberChange[] {
    this.#alive = this.#members.values().reduce((count, { status }) => count + Number(status === "alive"), 0);
    const hosts = this.#choose();
    const changes: MemberChange[] = [];
    for (const uuid of new Set([...this.#hosts.keys(), ...hosts.keys()])) {
      const before = this.#hosts.get(uuid);
      const after = hosts.get(uuid);
      if (!sameHost(before, after)) changes.push({ uuid, before, after });
      if (after) this.#hosts.set(uuid, after);
      else this.#hosts.delete(uuid);
    }
    return changes;
  }

  /** The member that stands for each host. */
  #choose(): Map<string, HostMember> {
    const hosts = new Map<string, HostMember>();
    const refused = new Set<string>();
    for (const member of this.#members.values()) {
      const candidate = this.#asHost(member);
      if (candidate === undefined) continue;
      const { uuid } = candidate.peer;
      const rival = hosts.get(uuid);
      const [chosen, other] = rival && this.#isBefore(rival, candidate)
        ? [rival, candidate]
        : [candidate, rival];
      hosts.set(uuid, chosen);
      if (other?.cstate === HostState.active) refused.add(other.peer.name);
      if (other?.cstate === HostState.active && !this.#refused.has(other.peer.name)) {
        this.#log.error("two members have the same host UUID, refusing one", {
          host: uuid,
          member: chosen.peer.name,
          refused: other.peer.name,
          address: other.peer.address,
        });
      }
    }
    this.#refused.clear();
    for (const name of refused) this.#refused.add(name);
    return hosts;
  }

  /**
   * A member as a host; undefined: it is none. One whose agent was started anew has no tags until its daemon has set them: that
   * long it is a host that has failed.
   */
  #asHost(member: Member): HostMember | undefined {
    const known = this.#hostTags.get(member.name);
    const uuid = known?.get(TAGS.uuid);
    if (known === undefined || uuid === undefined) return undefined;
    const cstate = CLUSTER_STATES[member.status];
    if (member.tags === known) return { peer: peerOf(uuid, member), cstate };
    const peer = peerOf(uuid, { ...member, tags: known });
    return { peer, cstate: cstate === HostState.active ? HostState.failed : cstate };
  }

  /** Whether a is to stand for its host rather than b: who is there, then who was accepted before, then by name. */
  #isBefore(a: HostMember, b: HostMember): boolean {
    const active = (host: HostMember) => host.cstate === HostState.active;
    if (active(a) !== active(b)) return active(a);
    const incumbent = this.#hosts.get(a.peer.uuid)?.peer.name;
    if (a.peer.name === incumbent || b.peer.name === incumbent) return a.peer.name === incumbent;
    return a.peer.name < b.peer.name;
  }
}

/**
 * The tags that say that an agent is that of a host of virtxd.
 * @param storage the id of its storage, if that is known
 */
export function ownTags(
  uuid: string,
  apiPort: number,
  storage: string | undefined,
): Readonly<Record<string, string>> {
  const tags = { [TAGS.uuid]: uuid, [TAGS.protocol]: String(PROTOCOL), [TAGS.api]: String(apiPort) };
  return storage === undefined ? tags : { ...tags, [TAGS.storage]: storage };
}

/** Which storage each host but this one says that it has, whether it is there or not. */
export function toldStorages(members: readonly Member[], self: string): readonly ToldStorage[] {
  return members.flatMap(({ name, tags }) => {
    const [uuid, id] = [tags.get(TAGS.uuid), tags.get(TAGS.storage)];
    return uuid === undefined || uuid === self || id === undefined || !isUuid(id) ? [] : [{ host: name, id }];
  });
}

/**
 * Makes sure that this host may join: no other member that is alive has its UUID.
 * @param name the node name of this host's agent
 * @throws {VirtxError} kind unavailable
 */
export function requireUnique(members: readonly Member[], name: string, uuid: string): void {
  for (const member of members) {
    if (member.name === name || member.status !== "alive" || member.tags.get(TAGS.uuid) !== uuid) continue;
    throw new VirtxError(
      "unavailable",
      `Cannot join the cluster as "${name}": its host UUID ${uuid} is that of "${member.name}" at ${member.address}`,
    );
  }
}

function peerOf(uuid: string, { name, address, tags }: Member): Peer {
  const port = Number(tags.get(TAGS.api));
  const storage = tags.get(TAGS.storage);
  return {
    uuid,
    name,
    address,
    port: Number.isInteger(port) && port > 0 && port < 0x10000 ? port : API_PORT,
    prototype: !tags.has(TAGS.protocol),
    ...(port === 0 && tags.has(TAGS.api) && { closed: true }),
    ...(storage !== undefined && isUuid(storage) && { storage }),
    ...(Number(tags.get(TAGS.protocol) ?? PROTOCOL) < PROTOCOL && { earlier: true }),
  };
}

function sameHost(a: HostMember | undefined, b: HostMember | undefined): boolean {
  if (!a || !b) return a === b;
  return a.cstate === b.cstate && a.peer.name === b.peer.name && a.peer.address === b.peer.address &&
    a.peer.port === b.peer.port && a.peer.prototype === b.peer.prototype &&
    a.peer.earlier === b.peer.earlier &&
    a.peer.storage === b.peer.storage && a.peer.closed === b.peer.closed;
}
