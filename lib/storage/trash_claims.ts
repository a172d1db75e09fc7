import { logFailure } from "../model/defect.ts";
import { VirtxError } from "../model/error.ts";
import type { FaultHook } from "../model/fault.ts";
import { hostOfId, newIdOfHost } from "../model/host_id.ts";
import type { Logger } from "../model/log.ts";
import { OWN_DIRECTORY } from "../model/paths.ts";
import { isUuid } from "../model/uuid.ts";
import { errnoCode } from "../posix/errno.ts";
import type { Files } from "../posix/files.ts";
import { onStorage } from "../posix/storage_error.ts";
import type { Tree } from "../posix/tree.ts";

/** Below /vms/ds, and below the directory at which another file system is mounted there. */
export const TRASH = `${OWN_DIRECTORY}/trash`;

/** The name of an entry that a host works on: `.<id>.<id of the claim>.claimed`. */
const CLAIMED = /^\.([0-9a-f-]{36})\.([0-9a-f-]{36})\.claimed$/;

/** The name of an entry of the trash, below /vms/ds. */
export function entryName(id: string): string {
  return `${TRASH}/${id}`;
}

/** The entry that a directory in the trash is, be it claimed or not; undefined: none. */
export function entryOf(directory: string): string | undefined {
  const id = CLAIMED.exec(directory)?.[1] ?? directory;
  return isUuid(id) ? id : undefined;
}

/** An entry that is claimed, with its directory below /vms/ds. */
interface Claim {
  readonly id: string;
  readonly directory: string;
}

export interface TrashClaimsOptions {
  /** /vms/ds */
  readonly tree: Tree;
  /** This host's UUID. */
  readonly hostUuid: string;
  readonly log: Logger;
  /** Fault point: `claimed`. */
  readonly fault: FaultHook;
}

/**
 * Who may work on an entry of the trash: whoever has renamed its directory to a name of their own. Of several hosts one wins, and
 * one that was cut off finds nothing under its old name.
 *
 * The id of a claim says whose it is ({@link newIdOfHost}). Only one virtxd works for a host, so a claim of this host that this
 * life does not hold is of an earlier one, or could not be given back: {@link left}. That of another host is given back once two
 * looks, minutes apart, have found it; no clock of a host counts for that. So is one of an earlier version, which says nobody's
 * name; and earlier versions, to which each claim is as good as any, give back those of this one in the same way.
 */
export class TrashClaims {
  readonly #o: TrashClaimsOptions;
  /** The directories that this life works on, or is about to. */
  readonly #held = new Set<string>();
  /** Claims of other hosts that were there at the last look. */
  #seen: ReadonlySet<string> = new Set();

  constructor(options: TrashClaimsOptions) {
    this.#o = options;
  }

  /**
   * Runs a task on an entry that no other host touches meanwhile. If it throws, others find the entry again.
   * @param task gets the directory's name below /vms/ds
   * @throws VirtxError not_found; conflict, if a host is at work on it
   */
  async run<T>(id: string, task: (directory: string) => Promise<T>): Promise<T> {
    if (!isUuid(id)) throw new VirtxError("invalid", "that is no entry's id");
    await this.#tree.missing(TRASH);
    return await this.#holding({ id, directory: entryName(id) }, async (claim) => {
      if (claim === undefined) throw await this.#refusal(id);
      try {
        await this.#o.fault("claimed");
        return await task(claim);
      } catch (error) {
        await this.#release({ id, directory: claim });
        throw error;
      }
    });
  }

  /** The claims of this host that nobody works on: an earlier life of virtxd was cut off, or they could not be given back. */
  async left(): Promise<readonly Claim[]> {
    return (await this.#claims()).filter(({ isOwn, directory }) => isOwn && !this.#held.has(directory));
  }

  /**
   * Runs a task on what is {@link left}, unless another host has given it back meanwhile. If it throws, it is left again.
   * @param task gets the directory's name below /vms/ds; whether the entry is gone, and else is to be given back
   */
  async takeUp(left: Claim, task: (directory: string) => Promise<boolean>): Promise<void> {
    await this.#holding(left, async (claim) => {
      if (claim !== undefined && !await task(claim)) await this.#release({ ...left, directory: claim });
    });
  }

  /** Gives back what other hosts had claimed at the last look already. */
  async giveBack(): Promise<void> {
    const others = (await this.#claims()).filter(({ isOwn }) => !isOwn);
    for (const claim of others) if (this.#seen.has(claim.directory)) await this.#release(claim);
    this.#seen = new Set(others.map(({ directory }) => directory));
  }

  /** Runs a task with a claim on a directory, by its new name; undefined: there is none. */
  async #holding<T>(
    { id, directory }: Claim,
    task: (claim: string | undefined) => Promise<T>,
  ): Promise<T> {
    const claim = `${TRASH}/.${id}.${newIdOfHost(this.#o.hostUuid)}.claimed`;
    this.#held.add(claim); // before it is there, so that it never seems to be left
    try {
      return await task(await this.#rename(directory, claim) ? claim : undefined);
    } finally {
      this.#held.delete(claim);
    }
  }

  /** Whether the directory has its new name now. NFS repeats a call whose answer was lost, and then finds nothing to rename. */
  async #rename(directory: string, claim: string): Promise<boolean> {
    try {
      await this.#files.rename(this.#tree.at(directory), this.#tree.at(claim));
      return true;
    } catch (error) {
      if (errnoCode(error) !== "ENOENT") throw error;
      return await this.#files.lstat(this.#tree.at(claim)) !== undefined;
    }
  }

  async #release({ id, directory }: Claim): Promise<void> {
    try {
      await onStorage(
        "Cannot rename it",
        () => this.#files.rename(this.#tree.at(directory), this.#tree.at(entryName(id))),
      );
    } catch (error) {
      logFailure(this.#o.log, "warn", "cannot give an entry of the trash back yet", error, { entry: id });
    }
  }

  async #refusal(id: string): Promise<VirtxError> {
    const claim = (await this.#claims()).find((claim) => claim.id === id);
    if (claim === undefined && await this.#files.lstat(this.#tree.at(entryName(id))) !== undefined) {
      return new VirtxError("conflict", "a host was at work on it just now; try again");
    }
    if (claim === undefined) return new VirtxError("not_found", "there is no such entry, or no more");
    return new VirtxError(
      "conflict",
      claim.isOwn
        ? "this host is at work on it; try again later"
        : "another host is at work on it; if that was cut off, the entry is given back when virtxd runs there again, or in " +
          "half an hour",
    );
  }

  async #claims(): Promise<(Claim & { readonly isOwn: boolean })[]> {
    return (await this.#tree.directories(TRASH)).flatMap((name) => {
      const [, id, claim] = CLAIMED.exec(name) ?? [];
      if (id === undefined || claim === undefined || !isUuid(id)) return [];
      const isOwn = hostOfId(claim, [this.#o.hostUuid]) !== undefined;
      return [{ id, directory: `${TRASH}/${name}`, isOwn }];
    });
  }

  get #tree(): Tree {
    return this.#o.tree;
  }

  get #files(): Files {
    return this.#o.tree.files;
  }
}
