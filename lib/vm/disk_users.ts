/** Who knows which VMs have a disk. */
export interface DiskUsers {
  /**
   * Those of the disks that another VM keeps from others, each with whose it is, in words.
   * @param except the VM that wants them
   * @throws VirtxError it cannot be told
   */
  users(paths: readonly string[], except: string): Promise<ReadonlyMap<string, string>>;
}

/** What any of these knows; of several who know of a disk's user, the first is quoted. */
export function anyOf(...sources: readonly DiskUsers[]): DiskUsers {
  return {
    async users(paths, except) {
      const told = await Promise.all(sources.map((source) => source.users(paths, except)));
      return new Map(told.toReversed().flatMap((users) => [...users]));
    },
  };
}
