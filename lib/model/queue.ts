/**
 * News on its way from one layer to the one above: the producer never waits, the one consumer iterates.
 * Closing it ends the iteration after what was queued.
 */
export class Queue<T> implements AsyncIterable<T>, Disposable {
  #items: T[] = [];
  #size = 0;
  #closed = false;
  #wake: (() => void) | undefined;

  push(item: T): void {
    if (this.#closed) return;
    this.#items.push(item);
    this.#size++;
    this.#wake?.();
  }

  /** How many wait for the consumer. */
  get size(): number {
    return this.#size;
  }

  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      const items = this.#items;
      this.#items = [];
      for (const item of items) {
        this.#size--;
        yield item;
      }
      if (this.#items.length > 0) continue;
      if (this.#closed) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = undefined;
    }
  }
}
