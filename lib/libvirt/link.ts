import type { Clock } from "../model/clock.ts";
import { logFailure } from "../model/defect.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import { CallbackSet, type EventSink } from "./callbacks.ts";
import { Connection } from "./connection.ts";
import { settlesWithin } from "./deadline.ts";
import { libvirtAway } from "./error.ts";
import type { DomainEvent, HypervisorEvent } from "./events.ts";
import { driverType, libvirtVersion } from "./node.ts";
import type { Runtime } from "./runtime.ts";

/** How a {@link Link} is made. */
export interface LinkOptions {
  readonly runtime: Runtime;
  readonly uri: string;
  readonly reconnectMs: number;
  readonly log: Logger;
  readonly clock: Clock;
  /** Gets every event, in order; must not wait. */
  readonly emit: (event: HypervisorEvent) => void;
}

/** The libvirt at the other end. */
export interface Peer {
  /** virConnectGetType: QEMU, TEST. */
  readonly driver: string;
  /** virConnectGetLibVersion: 9.0.0 is 9000000. */
  readonly version: number;
}

/** What is there while libvirt is. */
interface Session {
  readonly connection: Connection;
  readonly peer: Peer;
  readonly resources: AsyncDisposableStack;
}

/**
 * The connection that events come over, which also tells whether libvirt is there: when it is lost, `disconnected` goes
 * out at once and a new one is tried for every `reconnectMs`; `connected` goes out when all events are subscribed to
 * again. Between the two there is neither event nor guess.
 */
export class Link implements EventSink, AsyncDisposable {
  readonly #options: LinkOptions;
  readonly #callbacks: CallbackSet;
  readonly #ended = Promise.withResolvers<void>();
  #session: Session | undefined;
  #lost: VirtxError | undefined;
  #peer: Peer = { driver: "", version: 0 };
  #recovery: Promise<void> = Promise.resolve();

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#callbacks = new CallbackSet(options.runtime, this, options.clock);
  }

  /** Connects for the first time. @throws VirtxError `unavailable` */
  async connect(): Promise<void> {
    this.#session = await this.#establish();
    this.#peer = this.#session.peer;
  }

  get connected(): boolean {
    return this.#session !== undefined;
  }

  /** The libvirt that answers, or answered last. */
  get peer(): Peer {
    return this.#peer;
  }

  /** Another connection to the same libvirt. @throws VirtxError `unavailable` */
  async open(): Promise<Connection> {
    this.require();
    return await Connection.open(this.#options.runtime, this.#options.uri);
  }

  /** The link's own connection, once more. @throws VirtxError `unavailable` */
  share(): Connection {
    return this.require().connection.share();
  }

  /** @throws VirtxError `unavailable` while libvirt is away. */
  require(): Session {
    if (this.#session === undefined) throw this.#lost ?? libvirtAway("libvirt is not connected yet");
    return this.#session;
  }

  domainEvent(event: DomainEvent): void {
    this.#options.emit(event);
  }

  connectionLost(connection: Connection, reason: string): void {
    const session = this.#session;
    this.#lost = libvirtAway(`libvirt is away: ${reason}`);
    connection.retire(this.#lost);
    if (connection !== session?.connection) return; // it was not in service yet, and will not be
    this.#session = undefined;
    this.#options.log.warn("libvirt is away", { uri: this.#options.uri, reason });
    this.#options.emit({ kind: "disconnected", reason });
    this.#recovery = this.#recover(session);
  }

  /** The pools must be closed by then. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.resolve();
    await this.#recovery;
    const session = this.#session;
    this.#session = undefined;
    await session?.resources.disposeAsync();
    await this.#options.runtime.loop.turn();
    this.#callbacks[Symbol.dispose]();
  }

  async #establish(): Promise<Session> {
    const { runtime, uri } = this.#options;
    await using resources = new AsyncDisposableStack();
    const connection = await Connection.open(runtime, uri);
    resources.use(connection);
    resources.use(await this.#callbacks.subscribe(connection));
    const peer = { driver: await driverType(connection), version: await libvirtVersion(connection) };
    connection.check();
    return { connection, peer, resources: resources.move() };
  }

  async #recover(lost: Session): Promise<void> {
    const { uri, reconnectMs, log, emit } = this.#options;
    try {
      await lost.resources.disposeAsync();
    } catch (error) { // whatever the old connection leaves, there has to be a new one
      logFailure(log, "warn", "cannot close a connection to libvirt that was lost", error, { uri });
    }
    while (!await settlesWithin(reconnectMs, this.#ended.promise)) {
      try {
        const session = await this.#establish();
        this.#session = session;
        this.#peer = session.peer;
        log.info("libvirt is back", { uri, version: session.peer.version });
        emit({ kind: "connected" });
        return;
      } catch (error) {
        logFailure(log, "debug", "libvirt is still away", error, { uri });
      }
    }
  }
}
