/** Where bytes go, without being waited for by the one who logs: `Deno.stderr`. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<number>;
}

/** So many bytes may wait for a reader that does not read; more lines are dropped and counted. */
const LIMIT_BYTES = 4 << 20;

/**
 * Writes lines in their order without ever blocking the event loop, even if nobody reads what is written (a full
 * pipe to a stopped reader). When lines had to be dropped, a line says how many as soon as there is room again.
 * When the reader is gone, lines vanish quietly: a daemon does not die of its log.
 */
export class LogWriter {
  readonly #sink: ByteSink;
  readonly #lostLine: (count: number) => string;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #closed = false;
  /** The writing that is under way. */
  #writing: Promise<void> | undefined;

  /** @param lostLine the line that tells of so many dropped ones */
  constructor(sink: ByteSink, lostLine: (count: number) => string) {
    this.#sink = sink;
    this.#lostLine = lostLine;
  }

  write(line: string): void {
    if (this.#closed) return;
    const bytes = new TextEncoder().encode(line);
    if (this.#waitingBytes + bytes.length > LIMIT_BYTES) {
      this.#lost++;
      return;
    }
    this.#enqueue(bytes);
    this.#writing ??= this.#drain();
  }

  #enqueue(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
  }

  /** Waits until all is written, but not longer than this: a stopped reader must not keep the daemon from ending. */
  async flush(timeoutMs: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    await Promise.race([this.#writing, late]);
    clearTimeout(timer);
  }

  /** Many lines in one write, as they come; never throws. */
  async #drain(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        let bytes = joined(this.#waiting);
        this.#waiting = [];
        while (bytes.length > 0) {
          const count = await this.#sink.write(bytes);
          bytes = bytes.subarray(count);
          this.#waitingBytes -= count;
        }
        if (this.#lost > 0) {
          this.#enqueue(new TextEncoder().encode(this.#lostLine(this.#lost)));
          this.#lost = 0;
        }
      }
    } catch (error) {
      // There is no place left to tell it. With a full disk or a revoked terminal, later lines may fare better.
      this.#closed = error instanceof Deno.errors.BrokenPipe;
      this.#waiting = [];
      this.#waitingBytes = 0;
    } finally {
      this.#writing = undefined;
    }
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
