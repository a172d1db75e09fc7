import { MigrationType } from "../model/enums.ts";
import type { MigrationRecord } from "../registry/migration_record.ts";
import type { DomainLook } from "./migration_exchange.ts";

/** What is to be done about a migration that has ended, or broke off, somehow. */
export type Settlement =
  /** It is at the target, and nothing of it here. */
  | { readonly kind: "moved" }
  /** It is at the target: end what is left of it here, and look again. */
  | { readonly kind: "release" }
  /** It waits at the target, and is nowhere else: have it run there, and look again. */
  | { readonly kind: "start" }
  /**
   * It is here. `resume`: libvirt left it paused. `leftover`: what the target has of it, to be discarded there; unknown: the
   * target does not tell now, or libvirt there has to end it first.
   */
  | { readonly kind: "stayed"; readonly resume: boolean; readonly leftover: "none" | "some" | "unknown" }
  /** A post-copy broke: go on with it. */
  | { readonly kind: "rejoin" }
  /** Neither host has it. */
  | { readonly kind: "gone" }
  /** It runs on both. This must not be; nothing that could be done by itself would make it better. */
  | { readonly kind: "torn" }
  /** It cannot be told yet. */
  | { readonly kind: "wait"; readonly reason: string };

/**
 * Decides by what the two libvirts have of the VM, whatever happened: a reply that got lost, a host, a libvirtd or a virtxd
 * that died and came back. See {@link Migrations} for why no guest can come to run twice by it.
 *
 * @param there undefined: the target cannot be asked now
 * @param completed libvirt has told this host that the migration went well
 */
export function settlementOf(
  record: MigrationRecord,
  here: DomainLook,
  there: DomainLook | undefined,
  completed = false,
): Settlement {
  if (here.migrating) return wait("libvirt is still at it");
  switch (here.presence) {
    case "absent":
      return departed(record, there, completed);
    case "off":
      return ended(there);
    case "running":
      return runs(there);
    case "paused":
    case "incoming":
    case "outgoing":
      return stands(record, here, there);
    case "halved":
      return halved(there);
  }
}

/** Nothing is here any more. */
function departed(
  { held, running }: MigrationRecord,
  there: DomainLook | undefined,
  completed: boolean,
): Settlement {
  if (completed && !(held && running)) return { kind: "moved" };
  switch (there?.presence) {
    case undefined:
      return wait("the target does not answer");
    case "absent":
      return { kind: "gone" };
    case "incoming":
      return wait("the guest is still arriving");
    case "paused":
      return held && running ? { kind: "start" } : { kind: "moved" };
    default:
      return { kind: "moved" };
  }
}

/**
 * Here is a definition without a guest. Where the target has a definition too, libvirt there has taken the VM over, since
 * it keeps one only then; this one is what should have been removed.
 */
function ended(there: DomainLook | undefined): Settlement {
  switch (there?.presence) {
    case undefined:
      return wait("the target does not answer");
    case "absent":
      return { kind: "stayed", resume: false, leftover: "none" };
    case "incoming":
      return wait("libvirt there has not ended it yet");
    default:
      return { kind: "release" };
  }
}

/**
 * The guest runs here, so that any other one is stale. One that waits there for its memory waits in vain; mostly libvirt there
 * ends it by itself, but not if it was killed before it had noted what it was about.
 */
function runs(there: DomainLook | undefined): Settlement {
  switch (there?.presence) {
    case undefined:
      return { kind: "stayed", resume: false, leftover: "unknown" };
    case "absent":
      return { kind: "stayed", resume: false, leftover: "none" };
    case "running":
    case "halved":
      return { kind: "torn" };
    default:
      return { kind: "stayed", resume: false, leftover: "some" };
  }
}

/**
 * The guest is here, but stands still. Where the target has a definition it has had the guest, too, which may have run and
 * written to its disks: even if it is off by now, what is here is of the past, and must not go on.
 */
function stands(record: MigrationRecord, here: DomainLook, there: DomainLook | undefined): Settlement {
  switch (there?.presence) {
    case undefined:
      return wait("the guest stands still until the target tells whether it has it");
    case "incoming":
    case "halved":
      return wait("libvirt there has not ended it yet");
    case "absent":
      return { kind: "stayed", resume: here.presence === "outgoing" && record.running, leftover: "none" };
    default:
      return { kind: "release" };
  }
}

/** Part of the guest's memory is here, the other part there. */
function halved(there: DomainLook | undefined): Settlement {
  switch (there?.presence) {
    case undefined:
      return wait("the target, which has part of the guest's memory, does not answer");
    case "halved":
    case "incoming":
      return { kind: "rejoin" };
    case "running":
    case "paused":
      return { kind: "release" };
    default: // lost with the target's part
      return { kind: "stayed", resume: false, leftover: "none" };
  }
}

/** Whether a migration moves a guest, rather than a definition. */
export function isLive(record: MigrationRecord): boolean {
  return record.options.migration_type === MigrationType.live;
}

function wait(reason: string): Settlement {
  return { kind: "wait", reason };
}
