import type { HostMonitor } from "../host/monitor.ts";
import { imageKey } from "../model/lease_key.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { HostRecords } from "../registry/host_record.ts";
import type { Journal } from "../registry/journal.ts";
import type { DiskRecord, DiskRecords } from "../registry/ownership.ts";
import type { Registry } from "../registry/registry.ts";
import type { DiskClaims } from "./claims.ts";
import type { DiskUsers } from "./disk_users.ts";
import { mayWrite } from "./registered_disks.ts";

/**
 * How long a record counts by itself. What it says has to show in the registry or in the journal by then, also to a host
 * whose NFS client has cached that there is no such file (for up to a minute, acdirmax).
 */
export const YOUNG_MS = 120_000;

/** What {@link DiskOwners} stands on. */
export interface DiskOwnersOptions {
  readonly records: DiskRecords;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly hostRecords: Pick<HostRecords, "read">;
  readonly monitor: HostMonitor;
  readonly claims: DiskClaims;
  readonly diskUsers: DiskUsers;
  /** What a VM and a host are called, for messages. */
  readonly vmName: (uuid: string) => string;
  readonly hostName: (uuid: string) => string;
  readonly log: Logger;
}

/**
 * Whose the disks on shared storage are, among all hosts. What counts is what libvirt and the registries say; these are seen
 * late, though, and two hosts that look at the same instant both see nothing. So a disk is taken by a record on the storage
 * first, which only one of them can make, and what others say is asked after that.
 *
 * A record is in force while it is young, while the change that made it is open on a host that has not been removed, and
 * while the VM has the disk by any registry or by this host's libvirt. Else nobody needs it (the VM was removed by other tools,
 * say), and whoever wants the disk replaces it. So records need no repair, a VM that has none yet gets them when it starts, and hosts that write none do no harm.
 */
export class DiskOwners {
  readonly #o: DiskOwnersOptions;

  constructor(options: DiskOwnersOptions) {
    this.#o = options;
  }

  /**
   * Records that disks are the VM's.
   * @param change that gives them to it; undefined: it has them already
   * @throws VirtxError `conflict`, naming the disk and whose it is; what was recorded before stays
   */
  async take(vm: string, paths: readonly string[], change?: string): Promise<void> {
    for (const path of paths) {
      const user = await this.#take(vm, path, change);
      if (user !== undefined) throw new VirtxError("conflict", `disk "${path}" is one of ${user}`);
    }
  }

  /**
   * Makes sure of disks of the VM that are to be deleted: no other VM has them, and none gets them before they are {@link hold}.
   * @returns those that another VM has, each with whose it is, in words
   */
  async secure(vm: string, paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return new Map([...await this.hold(vm, paths), ...await this.users(paths, vm)]);
  }

  /**
   * Records anew that disks are the VM's, so that nobody gets them for a while though no definition has them any more.
   * @returns those that another VM has got meanwhile, each with whose it is, in words
   */
  async hold(vm: string, paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const users = new Map<string, string>();
    for (const path of paths) {
      const user = await unlessUnreadable(this.#take(vm, path, undefined, { anew: true }));
      if (user !== undefined) users.set(path, user);
    }
    return users;
  }

  /**
   * Records that disks are nobody's, if they are the VM's.
   * @param change only what that has recorded
   */
  async release(vm: string, paths: readonly string[], change?: string): Promise<void> {
    for (const path of paths) {
      try {
        await this.#release(vm, path, change);
      } catch (error) {
        if (!(error instanceof VirtxError) || error.kind !== "conflict") throw error;
        this.#o.log.warn("leaving the record of a disk", { vm, path, reason: error.message });
      }
    }
  }

  /** Which of the disks other VMs have, by whatever tells, each with whose it is, in words. */
  async users(paths: readonly string[], except: string): Promise<ReadonlyMap<string, string>> {
    const { claims, diskUsers } = this.#o;
    const users = new Map(await diskUsers.users(paths, except));
    for (const path of paths) {
      const here = claims.userOf(path, except);
      const user = here === undefined
        ? await unlessUnreadable(this.recorded(path, except))
        : `VM ${here} of this host`;
      if (user !== undefined) users.set(path, user);
    }
    return users;
  }

  /** Whose a disk is by a record that is in force, in words; undefined: nobody's but the VM's. */
  async recorded(path: string, except: string): Promise<string | undefined> {
    const key = imageKey(path);
    const now = key && await this.#o.records.read(key);
    if (!now || now.value === undefined || now.value.vm === except) return undefined;
    return await this.#inForce(now.value, now.ageMs);
  }

  /** Whose the disk is, in words, if it is not to be had. */
  async #take(
    vm: string,
    path: string,
    change: string | undefined,
    { anew = false } = {},
  ): Promise<string | undefined> {
    const { records, monitor } = this.#o;
    const key = imageKey(path);
    if (key === undefined) return undefined;
    let user: string | undefined;
    await records.update(key, async (now) => {
      const record = now?.value;
      const isOwn = record?.vm === vm && (change === undefined || record.change === change);
      if (isOwn && !anew) return undefined;
      user = now && record && record.vm !== vm ? await this.#inForce(record, now.ageMs) : undefined;
      return user === undefined ? { value: { path, vm, host: monitor.uuid, change } } : undefined;
    });
    return user;
  }

  async #release(vm: string, path: string, change: string | undefined): Promise<void> {
    const key = imageKey(path);
    if (key === undefined) return;
    await this.#o.records.update(key, (now) => {
      const isOwn = now?.value?.vm === vm && (change === undefined || now.value.change === change);
      return Promise.resolve(isOwn ? { value: undefined } : undefined);
    });
  }

  /** Whether an administrator has removed a host. Should it come back, it finds whose its disks are by then, and leaves them. */
  async #isRemoved(host: string): Promise<boolean> {
    const now = await this.#o.hostRecords.read(host);
    return now !== undefined && now.value === undefined;
  }

  /** Whose the disk is, in words, and why the record counts; undefined: it does not. */
  async #inForce({ path, vm, host, change }: DiskRecord, ageMs: number): Promise<string | undefined> {
    const { registry, journal, monitor, vmName, hostName } = this.#o;
    const on = (uuid: string) => `VM "${vmName(vm)}" (${vm}) of host ${hostName(uuid)}`;
    if (ageMs < YOUNG_MS) {
      const seconds = Math.ceil((YOUNG_MS - ageMs) / 1_000);
      return `${on(host)}, which has just got it; if that has failed, try again in ${seconds} s`;
    }
    const isOpen = change !== undefined && await journal.openRecord(host, change) !== undefined;
    if (isOpen && !await this.#isRemoved(host)) {
      return `${
        on(host)
      }, whose change is still open there; it is settled when virtxd runs on that host, or if ` +
        `that is gone for good, once it is removed: virtx host remove ${hostName(host)}`;
    }
    const here = monitor.domain(vm);
    // One that libvirt does not tell the definition of now may have it still
    if (here !== undefined && (here.xml === undefined || mayWrite(here.xml, path))) return on(monitor.uuid);
    const found = (await registry.everywhere(vm)).find(({ xml }) => mayWrite(xml, path));
    return found && `${on(found.host)}, by ${found.file}`;
  }
}

/** A record that cannot be read is one of somebody. */
async function unlessUnreadable(user: Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await user;
  } catch (error) {
    if (error instanceof VirtxError && error.kind === "conflict") return `somebody: ${error.message}`;
    throw error;
  }
}
