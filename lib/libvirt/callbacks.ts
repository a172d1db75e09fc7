import type { Clock } from "../model/clock.ts";
import type { Connection } from "./connection.ts";
import { CloseReason, EventId } from "./constants.ts";
import { domainUuid } from "./domain.ts";
import type { DomainEvent } from "./events.ts";
import { readEndedJob } from "./job.ts";
import { borrowString } from "./memory.ts";
import type { Runtime } from "./runtime.ts";
import { TypedParameters } from "./typed_params.ts";

/** What a {@link CallbackSet} reports to. Called within libvirt's callback: must not wait, nor call libvirt. */
export interface EventSink {
  domainEvent(event: DomainEvent): void;
  /** The connection is gone: the daemon ended, or did not answer keepalive. */
  connectionLost(connection: Connection, reason: string): void;
}

/** A subscription of one connection; disposing it ends it. */
export type Subscription = AsyncDisposable;

// int (*)(virConnectPtr conn, virDomainPtr dom, int event, int detail, void *opaque)
const LIFECYCLE = { parameters: ["pointer", "pointer", "i32", "i32", "pointer"], result: "i32" } as const;
// void (*)(virConnectPtr conn, virDomainPtr dom, void *opaque)
const GENERIC = { parameters: ["pointer", "pointer", "pointer"], result: "void" } as const;
// void (*)(virConnectPtr conn, virDomainPtr dom, const char *disk, int type, int status, void *opaque)
const BLOCK_JOB = {
  parameters: ["pointer", "pointer", "pointer", "i32", "i32", "pointer"],
  result: "void",
} as const;
// void (*)(virConnectPtr conn, virDomainPtr dom, int type, const char *nsuri, void *opaque)
const METADATA = { parameters: ["pointer", "pointer", "i32", "pointer", "pointer"], result: "void" } as const;
// void (*)(virConnectPtr conn, virDomainPtr dom, int iteration, void *opaque)
const ITERATION = { parameters: ["pointer", "pointer", "i32", "pointer"], result: "void" } as const;
// void (*)(virConnectPtr conn, virDomainPtr dom, virTypedParameterPtr params, int nparams, void *opaque)
const JOB = { parameters: ["pointer", "pointer", "pointer", "i32", "pointer"], result: "void" } as const;
// void (*)(virConnectPtr conn, int reason, void *opaque)
const CLOSE = { parameters: ["pointer", "i32", "pointer"], result: "void" } as const;

/**
 * The C function pointers that libvirt calls for its events. They belong to no connection, so that they outlive every
 * one of them: a callback must not be closed while libvirt may still call it.
 *
 * Callbacks run while libvirt's event loop thread waits for them. They are lent the domain: they copy what they need.
 */
export class CallbackSet implements Disposable {
  readonly #runtime: Runtime;
  readonly #subscribers = new Set<Connection>();
  readonly #lifecycle: Deno.UnsafeCallback<typeof LIFECYCLE>;
  readonly #reboot: Deno.UnsafeCallback<typeof GENERIC>;
  readonly #blockJob: Deno.UnsafeCallback<typeof BLOCK_JOB>;
  readonly #metadata: Deno.UnsafeCallback<typeof METADATA>;
  readonly #iteration: Deno.UnsafeCallback<typeof ITERATION>;
  readonly #job: Deno.UnsafeCallback<typeof JOB>;
  readonly #close: Deno.UnsafeCallback<typeof CLOSE>;

  constructor(runtime: Runtime, sink: EventSink, clock: Clock) {
    const { libvirt } = runtime;
    const uuidOf = (domain: Deno.PointerValue) => domain === null ? "" : domainUuid(libvirt, domain);
    this.#runtime = runtime;
    this.#lifecycle = Deno.UnsafeCallback.threadSafe(LIFECYCLE, (_connection, domain, event, detail) => {
      const name = borrowString(libvirt.virDomainGetName(domain));
      const uuid = uuidOf(domain);
      sink.domainEvent({
        kind: "lifecycle",
        uuid,
        name,
        event,
        detail,
        at: clock(),
        moment: performance.now(),
      });
      return 0;
    });
    this.#reboot = Deno.UnsafeCallback.threadSafe(GENERIC, (_connection, domain) => {
      sink.domainEvent({ kind: "reboot", uuid: uuidOf(domain) });
    });
    this.#blockJob = Deno.UnsafeCallback.threadSafe(BLOCK_JOB, (_connection, domain, disk, type, status) => {
      sink.domainEvent({ kind: "block_job", uuid: uuidOf(domain), disk: borrowString(disk), type, status });
    });
    this.#metadata = Deno.UnsafeCallback.threadSafe(METADATA, (_connection, domain, type, uri) => {
      sink.domainEvent({ kind: "metadata", uuid: uuidOf(domain), type, uri: borrowString(uri) });
    });
    this.#iteration = Deno.UnsafeCallback.threadSafe(ITERATION, (_connection, domain, iteration) => {
      sink.domainEvent({ kind: "migration_iteration", uuid: uuidOf(domain), iteration });
    });
    this.#job = Deno.UnsafeCallback.threadSafe(JOB, (_connection, domain, params, count) => {
      const figures = new TypedParameters();
      figures.load(params, count);
      sink.domainEvent({ kind: "job_completed", uuid: uuidOf(domain), job: readEndedJob(figures) });
    });
    this.#close = Deno.UnsafeCallback.threadSafe(CLOSE, (connection, reason) => {
      for (const subscriber of this.#subscribers) {
        if (subscriber.is(connection)) sink.connectionLost(subscriber, describeClose(reason));
      }
    });
  }

  /**
   * Subscribes a connection to everything (virConnectDomainEventRegisterAny, virConnectRegisterCloseCallback).
   *
   * @throws VirtxError with libvirt's reason; nothing is subscribed then.
   */
  async subscribe(connection: Connection): Promise<Subscription> {
    const { libvirt } = connection;
    await using undo = new AsyncDisposableStack();
    // libvirt drops what it no longer needs of a subscription in the next turn of its loop
    undo.defer(() => this.#runtime.loop.turn());
    const events: [number, Deno.UnsafeCallback["pointer"]][] = [
      [EventId.lifecycle, this.#lifecycle.pointer],
      [EventId.reboot, this.#reboot.pointer],
      [EventId.blockJob2, this.#blockJob.pointer],
      [EventId.migrationIteration, this.#iteration.pointer],
      [EventId.jobCompleted, this.#job.pointer],
      [EventId.metadataChange, this.#metadata.pointer],
    ];
    for (const [event, callback] of events) {
      const id = await connection.int((c) =>
        libvirt.virConnectDomainEventRegisterAny(c, null, event, callback, null, null)
      );
      undo.defer(async () =>
        void await connection.attempt((c) => libvirt.virConnectDomainEventDeregisterAny(c, id))
      );
    }
    const close = this.#close.pointer;
    this.#subscribers.add(connection);
    undo.defer(() => void this.#subscribers.delete(connection));
    // The test driver has no connection that could be lost, and refuses
    if (
      await connection.attempt((c) => libvirt.virConnectRegisterCloseCallback(c, close, null, null)) === 0
    ) {
      undo.defer(async () =>
        void await connection.attempt((c) => libvirt.virConnectUnregisterCloseCallback(c, close))
      );
    }
    return undo.move();
  }

  /** All connections must be closed, and libvirt's loop have turned since. */
  [Symbol.dispose](): void {
    const all = [this.#lifecycle, this.#reboot, this.#blockJob, this.#metadata, this.#iteration, this.#job];
    for (const callback of [...all, this.#close]) callback.close();
  }
}

function describeClose(reason: number): string {
  switch (reason) {
    case CloseReason.eof:
      return "the libvirt daemon ended the connection";
    case CloseReason.keepalive:
      return "the libvirt daemon does not answer";
    default:
      return "the connection to the libvirt daemon failed";
  }
}
