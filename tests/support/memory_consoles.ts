import { VirtxError } from "../../lib/model/error.ts";
import type { ConsoleEnding, ConsoleUseCases, VmConsole } from "../../lib/vm/consoles.ts";

/** A console whose guest is the test. */
export class MemoryConsole implements VmConsole {
  readonly ended: Promise<ConsoleEnding>;
  readonly #ending = Promise.withResolvers<ConsoleEnding>();
  readonly #output: Uint8Array<ArrayBuffer>[] = [];
  #wake: (() => void) | undefined;
  #over = false;
  typed = "";
  /** How many bytes have been read. */
  readBytes = 0;
  /** Input is taken when it resolves. */
  gate: Promise<void> = Promise.resolve();

  constructor() {
    this.ended = this.#ending.promise;
  }

  get closed(): boolean {
    return this.#over;
  }

  print(text: string): void {
    this.#output.push(new TextEncoder().encode(text));
    this.#wake?.();
  }

  end(ending: ConsoleEnding): void {
    this.#over = true;
    this.#ending.resolve(ending);
    this.#wake?.();
  }

  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    for (;;) {
      const bytes = this.#output.shift();
      if (bytes) {
        this.readBytes += bytes.length;
        return bytes;
      }
      if (this.#over) return undefined;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.gate;
    this.typed += new TextDecoder().decode(bytes);
  }

  close(): void {
    this.end({ fate: "closed", reason: "its user has gone" });
  }
}

/** The consoles of VMs that exist in memory only; each has one user at a time. */
export class MemoryConsoles implements ConsoleUseCases {
  readonly #open = new Map<string, MemoryConsole>();
  obstacle: Error | undefined;

  /** The one that is open, or was last. */
  of(uuid: string): MemoryConsole {
    const found = this.#open.get(uuid);
    if (!found) throw new Error("no console was opened");
    return found;
  }

  open(uuid: string, { force }: { readonly force: boolean }): Promise<VmConsole> {
    if (this.obstacle) return Promise.reject(this.obstacle);
    const before = this.#open.get(uuid);
    if (before && !before.closed) {
      if (!force) return Promise.reject(new VirtxError("conflict", "another user has it"));
      before.end({ fate: "taken", reason: "Another user has taken the console" });
    }
    const made = new MemoryConsole();
    this.#open.set(uuid, made);
    return Promise.resolve(made);
  }
}
