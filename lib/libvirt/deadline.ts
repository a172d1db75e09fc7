/** A point in time, so many milliseconds from now, that others are measured by. */
export class Deadline implements Disposable {
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #passed: Promise<false>;

  constructor(ms: number) {
    const { promise, resolve } = Promise.withResolvers<false>();
    this.#passed = promise;
    this.#timer = setTimeout(() => resolve(false), ms);
  }

  /** Waits until the promise is settled, however, or the deadline has passed: whether it was in time. */
  includes(promise: Promise<unknown>): Promise<boolean> {
    const settled = promise.then(() => true, () => true);
    return Promise.race([settled, this.#passed]);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
