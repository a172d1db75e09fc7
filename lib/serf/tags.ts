/** Which tags an agent should have and which it should not; the others are not ours. */
export class WantedTags {
  static readonly none = new WantedTags(new Map(), new Set());

  private constructor(readonly set: ReadonlyMap<string, string>, readonly removed: ReadonlySet<string>) {}

  /** With these as well; where a name is in both, it is set, as the agent does. */
  with(tags: Readonly<Record<string, string>>, remove: readonly string[]): WantedTags {
    const set = new Map(this.set);
    for (const name of remove) set.delete(name);
    for (const [name, value] of Object.entries(tags)) set.set(name, value);
    const removed = new Set([...this.removed, ...remove]);
    for (const name of set.keys()) removed.delete(name);
    return new WantedTags(set, removed);
  }

  get isEmpty(): boolean {
    return this.set.size === 0 && this.removed.size === 0;
  }
}
