import type { HostEntry, Inventory, VmEntry } from "../cluster/inventory.ts";
import { VirtxError } from "../model/error.ts";
import type { Operations } from "../vm/operations.ts";
import type { MemberOf } from "./inventory_operations.ts";
import { renderHost, renderVm, sealed, sealedHost } from "./list_items.ts";
import type { OperationRelay, RelayListener } from "./operation_relay.ts";
import { RelayKeeper } from "./relay_keeper.ts";
import { toOperationJson } from "./schema_operation.ts";

/** What is told of, by the name of its events. */
export const EVENT_TYPES = ["host", "vm", "operation"] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** Events that are kept for those who come back, or are slow. */
const KEPT = 8_192;
/** Streams at a time, of all clients and of one. Each of the other hosts may have one. */
const STREAMS_MAX = 1_024;
const STREAMS_MAX_PER_CLIENT = 128;
/** About how much goes out at once, in characters. */
const CHUNK_LENGTH = 32 * 1024;
/** How often there is a sign of life where there is no news. */
const HEARTBEAT_MS = 15_000;
/** How long a client should wait before it comes back. */
const RETRY_MS = 2_000;

/** Which events a client wants. */
export interface EventFilter {
  readonly types: ReadonlySet<EventType>;
  /** Only those of this VM and of its operations. */
  readonly vm?: string | undefined;
  /** Of operations only this host's: another one follows them. */
  readonly isOwn?: boolean;
}

interface FeedEvent {
  readonly type: EventType | "resync";
  /** The VM that it is about, if it is about one. */
  readonly vm: string | undefined;
  /** It is an operation, or tells of missed ones, of another host. */
  readonly isRelayed?: boolean;
  /** Its JSON. */
  readonly render: () => string;
}

/** Has the listener told of the operations of other hosts until disposed. */
type RelayMaker = (listener: RelayListener) => Pick<OperationRelay, "ready"> & Disposable;

/** A client. It holds no events, but a place among those that are kept. */
interface Stream {
  readonly filter: EventFilter;
  /** Its address; undefined: it came by the unix socket. */
  readonly client: string | undefined;
  /** The number of the last event that it had. */
  at: number;
  /** It takes whatever comes; false: it has yet to take what it got. */
  isReading: boolean;
  isHeartbeatDue: boolean;
  readonly close: () => void;
}

/**
 * The changes of hosts, VMs and operations as events, in one order, for any number of clients (Server-Sent Events, WHATWG
 * HTML §9.2). The last ones are kept, so that a client that comes back misses none and gets none twice; one that
 * cannot be served so is told to look at everything again (`resync`).
 */
export class EventFeed implements Disposable {
  readonly #inventory: Inventory;
  readonly #memberOf: MemberOf;
  readonly #relay: RelayKeeper | undefined;
  /** Event n is at n modulo the length. */
  readonly #ring: FeedEvent[] = [];
  /** Numbers begin anew with each process; ids must not be taken for those of another. */
  readonly #epoch = crypto.randomUUID().slice(0, 8);
  readonly #streams = new Set<Stream>();
  readonly #held = new DisposableStack();
  #last = 0;
  #news = Promise.withResolvers<void>();
  #ended = false;
  #heartbeat: ReturnType<typeof setInterval> | undefined;

  /** @param o.relayTo follows the operations of other hosts; left out: there are none */
  constructor(
    o: {
      readonly inventory: Inventory;
      readonly memberOf: MemberOf;
      readonly operations: Operations;
      readonly relayTo?: RelayMaker | undefined;
    },
  ) {
    this.#inventory = o.inventory;
    this.#memberOf = o.memberOf;
    this.#relay = o.relayTo && this.#held.use(this.#keeperOf(o.relayTo));
    this.#held.use(o.inventory.watch({
      host: (uuid, entry) =>
        this.#push({ type: "host", vm: undefined, render: () => this.#hostJson(uuid, entry) }),
      vm: (uuid, entry) => this.#push({ type: "vm", vm: uuid, render: () => this.#vmJson(uuid, entry) }),
    }));
    this.#held.use(o.operations.watch((operation) => {
      const render = () => JSON.stringify(toOperationJson(operation));
      this.#push({ type: "operation", vm: operation.vm, render });
    }));
  }

  /** Ends all streams. */
  [Symbol.dispose](): void {
    this.#ended = true;
    this.#held.dispose();
    for (const stream of this.#streams) if (!stream.isReading) stream.close();
    this.#wake();
    clearInterval(this.#heartbeat);
  }

  /**
   * A stream of events from now on, or from the one on that came after the given id. Resolves when all events are had.
   * @param client its address; undefined: it came by the unix socket
   * @throws VirtxError unavailable
   */
  async open(
    filter: EventFilter,
    lastEventId: string | null,
    client?: string,
  ): Promise<ReadableStream<Uint8Array>> {
    const since = isRelayWanted(filter) && !this.#ended ? await this.#relay?.keep() : undefined;
    this.#requireRoom(client);
    const from = lastEventId === null ? this.#last : this.#numberOf(lastEventId, since ?? 0);
    let start = `retry: ${RETRY_MS}\n`;
    start += from === undefined
      ? this.#resync("they are too long ago, or those of an earlier virtxd")
      : this.#mark(from);
    const encoder = new TextEncoder();
    let stream: Stream;
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        const close = () => {
          this.#remove(stream);
          controller.close();
        };
        stream = { filter, client, at: from ?? this.#last, isReading: false, isHeartbeatDue: false, close };
        this.#add(stream);
        controller.enqueue(encoder.encode(start));
      },
      pull: async (controller) => {
        stream.isReading = true;
        const text = await this.#nextOf(stream);
        stream.isReading = false;
        if (text === undefined) stream.close();
        else if (this.#streams.has(stream)) controller.enqueue(encoder.encode(text));
      },
      cancel: () => this.#remove(stream),
    }, { highWaterMark: 0 });
  }

  #requireRoom(client: string | undefined): void {
    let mine = 0;
    for (const stream of this.#streams) if (stream.client === client) mine++;
    const why = this.#ended
      ? "virtxd is stopping"
      : this.#streams.size >= STREAMS_MAX
      ? `${STREAMS_MAX} clients follow them already`
      : mine >= STREAMS_MAX_PER_CLIENT
      ? `${STREAMS_MAX_PER_CLIENT} of this address follow them already`
      : undefined;
    if (why === undefined) return;
    throw new VirtxError("unavailable", `Cannot follow events: ${why}`, { retryAfterS: 10 });
  }

  /** Tells those who follow all hosts' operations that some were missed. */
  #gap(reason: string): void {
    this.#push({ type: "resync", vm: undefined, isRelayed: true, render: () => resyncJson(reason) });
  }

  #keeperOf(relayTo: RelayMaker): RelayKeeper {
    const listener: RelayListener = {
      operation: (operation) => {
        const render = () => JSON.stringify(operation);
        this.#push({ type: "operation", vm: operation.vm, isRelayed: true, render });
      },
      gap: (reason) => this.#gap(reason),
    };
    return new RelayKeeper({
      begin: () => relayTo(listener),
      ready: () => {
        this.#gap("operations of other hosts were not followed"); // nobody can have had its number before
        return this.#last;
      },
      isHeard: () => [...this.#streams].some(({ filter }) => isRelayWanted(filter)),
    });
  }

  #push(event: FeedEvent): void {
    this.#last++;
    this.#ring[this.#last % KEPT] = event;
    if (this.#streams.size === 0) return;
    for (const stream of this.#streams) if (!stream.isReading && this.#isLost(stream.at)) stream.close();
    this.#wake();
  }

  /** Whether events after this number are kept no more. */
  #isLost(at: number): boolean {
    return at < this.#last - KEPT;
  }

  #wake(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** What a stream is to be sent next, as soon as there is something; undefined: it ends. */
  async #nextOf(stream: Stream): Promise<string | undefined> {
    while (!this.#ended && this.#streams.has(stream)) {
      const text = this.#take(stream);
      if (text !== "") return text;
      await this.#news.promise;
    }
    return undefined;
  }

  #take(stream: Stream): string {
    if (this.#isLost(stream.at)) {
      stream.at = this.#last;
      return this.#resync("there were too many at once");
    }
    let text = "";
    while (stream.at < this.#last && text.length < CHUNK_LENGTH) {
      const event = this.#ring[++stream.at % KEPT];
      if (event && passes(event, stream.filter)) {
        text += `event: ${event.type}\ndata: ${event.render()}\n${this.#mark(stream.at)}`;
      }
    }
    // The mark moves a client on that wants few of the events: otherwise the last that it had might be too long ago.
    if (text === "" && stream.isHeartbeatDue) text = `: no news\n${this.#mark(stream.at)}`;
    stream.isHeartbeatDue = false;
    return text;
  }

  /** The end of an event, with the id from which the client may go on. */
  #mark(number: number): string {
    return `id: ${this.#epoch}-${number}\n\n`;
  }

  #resync(why: string): string {
    return `event: resync\ndata: ${resyncJson(why)}\n${this.#mark(this.#last)}`;
  }

  /** The number of an event that a client had, if those after it are kept, and it is not before `since`. */
  #numberOf(id: string, since: number): number | undefined {
    const [, epoch, digits] = /^([0-9a-f]{8})-(\d{1,15})$/.exec(id) ?? [];
    const number = Number(digits);
    return epoch === this.#epoch && number >= since && number <= this.#last && !this.#isLost(number)
      ? number
      : undefined;
  }

  #add(stream: Stream): void {
    this.#streams.add(stream);
    this.#heartbeat ??= setInterval(() => {
      for (const each of this.#streams) each.isHeartbeatDue = true;
      this.#wake();
    }, HEARTBEAT_MS);
  }

  #remove(stream: Stream): void {
    this.#streams.delete(stream);
    if (!this.#ended) this.#relay?.linger();
    if (this.#streams.size > 0) return;
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }

  #hostJson(uuid: string, host: HostEntry | undefined): string {
    return host
      ? sealedHost(renderHost(host), this.#inventory.seen(uuid), this.#memberOf(uuid))
      : removal(uuid);
  }

  #vmJson(uuid: string, vm: VmEntry | undefined): string {
    return vm ? sealed(renderVm(vm), this.#inventory.seen(vm.host)) : removal(uuid);
  }
}

function passes({ type, vm, isRelayed }: FeedEvent, filter: EventFilter): boolean {
  if (isRelayed && !isRelayWanted(filter)) return false;
  return type === "resync" || (filter.types.has(type) && (filter.vm === undefined || vm === filter.vm));
}

function isRelayWanted({ types, isOwn }: EventFilter): boolean {
  return types.has("operation") && !isOwn;
}

function resyncJson(why: string): string {
  return JSON.stringify({ reason: `Events were missed: ${why}` });
}

function removal(uuid: string): string {
  return JSON.stringify({ uuid, removed: true });
}
