/**
 * Lets work go on that nobody waits for, and that tells of its failures itself: should it reject all the same, that is
 * a defect, and reported as an error that nobody has caught.
 */
export function inBackground(work: PromiseLike<unknown>): void {
  work.then(undefined, reportError);
}

/**
 * For work that is begun before something else is awaited: its rejection waits for the caller, who awaits it later. It
 * would end or blemish the process otherwise, if it came meanwhile.
 */
export function awaitedLater<T extends Promise<unknown>>(work: T): T {
  work.catch(() => {});
  return work;
}
