import type { DomainJob } from "./job.ts";

/** What libvirt tells of a domain without being asked. */
export type DomainEvent =
  | {
    readonly kind: "lifecycle";
    readonly uuid: string;
    readonly name: string;
    /** {@link LifecycleEvent} */
    readonly event: number;
    /** Its cause; the meaning depends on the event (virDomainEventStartedDetailType, …). */
    readonly detail: number;
    /** When it arrived, UTC milliseconds. */
    readonly at: number;
    /** The same on a clock that only goes forward (performance.now). */
    readonly moment: number;
  }
  | {
    readonly kind: "metadata";
    readonly uuid: string;
    /** {@link MetadataType} */
    readonly type: number;
    /** The namespace of the element that changed; empty for title and description. */
    readonly uri: string;
  }
  | { readonly kind: "reboot"; readonly uuid: string }
  | {
    readonly kind: "block_job";
    readonly uuid: string;
    /** The disk's target: vda. */
    readonly disk: string;
    /** virDomainBlockJobType */
    readonly type: number;
    /** virConnectDomainEventBlockJobStatus */
    readonly status: number;
  }
  | {
    readonly kind: "migration_iteration";
    readonly uuid: string;
    /** The memory of a guest that migrates is gone through for the n-th time, counted from 1. */
    readonly iteration: number;
  }
  | {
    readonly kind: "job_completed";
    readonly uuid: string;
    /** How it went. A migration is told of so before the domain leaves the host. */
    readonly job: DomainJob;
  };

/** News for the layer above: domains' events, and whether there is a libvirt to speak of. */
export type HypervisorEvent =
  | DomainEvent
  /** libvirt is back, all events are subscribed to again. What happened meanwhile is not told: look. */
  | { readonly kind: "connected" }
  | { readonly kind: "disconnected"; readonly reason: string };
