import { VirtxError } from "../model/error.ts";
import { inBackground } from "../model/background.ts";
import type { Logger } from "../model/log.ts";
import { Semaphore } from "../model/semaphore.ts";
import { within } from "../model/within.ts";
import type { ImageFormat } from "./location.ts";

export interface QemuImgOptions {
  /** Name or path of the program. */
  readonly program: string;
  /** How many may run at a time. */
  readonly concurrency: number;
  readonly timeoutMs: number;
  /** Instead of {@link GRACE_MS}. */
  readonly graceMs?: number | undefined;
  readonly log: Logger;
}

/** How long one that was killed may take to end before another gets its place: on storage that hangs, it does not end. */
const GRACE_MS = 5_000;
/** How many of those there may be; then their places are not given away any more. */
const MAX_STUCK = 8;

/** An image to be made. */
export interface NewImage {
  /** Absolute: a name such as `json:…` would be taken for a protocol. */
  readonly path: string;
  readonly format: ImageFormat;
  readonly sizeMiB: number;
  /** Whether all its blocks are allocated at once. */
  readonly thick: boolean;
}

/**
 * Runs qemu-img(1), a bounded number at a time, each for a bounded time; killed when that is over. Whoever has it run goes on
 * only when the process has ended, since until then it may write; but one that does not end keeps no other from running.
 */
export class QemuImg {
  readonly #program: string;
  readonly #timeoutMs: number;
  readonly #graceMs: number;
  readonly #log: Logger;
  readonly #places: Semaphore;
  #stuck = 0;

  constructor({ program, concurrency, timeoutMs, graceMs = GRACE_MS, log }: QemuImgOptions) {
    this.#program = program;
    this.#timeoutMs = timeoutMs;
    this.#graceMs = graceMs;
    this.#log = log;
    this.#places = new Semaphore(concurrency);
  }

  /**
   * qemu-img create, into a file that is there and ours, as it would truncate any other too. Thick images use
   * fallocate(2) rather than zeros written one by one; where the file system lacks it, libc writes to each block.
   * VirtxError: storage (with qemu-img's words), timeout, cancelled (the signal aborted).
   *
   * @param look is called when its turn has come, to throw if the file is not there any more: qemu-img would make another
   */
  async create(
    { path, format, sizeMiB, thick }: NewImage,
    look: () => Promise<void>,
    signal?: AbortSignal,
  ): Promise<void> {
    const preallocation = `preallocation=${thick ? "falloc" : "off"}`;
    const args = ["create", "-q", "-f", format, "-o", preallocation, path, `${sizeMiB}M`];
    await this.#run(args, path, look, signal);
  }

  async #run(
    args: string[],
    path: string,
    look: () => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const stop = new AbortController();
    const timer = setTimeout(
      () => stop.abort(new VirtxError("timeout", `qemu-img took longer than ${this.#timeoutMs} ms`)),
      this.#timeoutMs,
    );
    const cancel = () =>
      stop.abort(new VirtxError("cancelled", "it was cancelled", { cause: signal?.reason }));
    signal?.addEventListener("abort", cancel);
    try {
      if (signal?.aborted) cancel();
      const { ended } = await this.#places.run(async () => {
        await look();
        stop.signal.throwIfAborted();
        const ended = this.#spawn(args, path, stop.signal);
        await this.#endedOrStuck(ended, path, stop.signal);
        return { ended };
      }, stop.signal);
      await ended;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
    }
  }

  /** Resolves when the process has ended, or is not going to, though it was killed. */
  async #endedOrStuck(ended: Promise<void>, path: string, killed: AbortSignal): Promise<void> {
    const over = ended.catch(() => {});
    const { promise: isKilled, resolve } = Promise.withResolvers<void>();
    killed.addEventListener("abort", () => resolve(), { once: true });
    if (killed.aborted) resolve();
    await Promise.race([over, isKilled]);
    if (await within(this.#graceMs, over)) return;
    if (this.#stuck >= MAX_STUCK) return await over;
    this.#stuck++;
    this.#log.warn("qemu-img was killed and does not end", { path, stuck: this.#stuck });
    inBackground(over.then(() => this.#stuck--));
  }

  /** Resolves when the process has ended, also after it was killed. */
  async #spawn(args: string[], path: string, signal: AbortSignal): Promise<void> {
    const child = new Deno.Command(this.#program, {
      args,
      cwd: "/", // ours may be on storage that hangs
      clearEnv: true,
      env: { LC_ALL: "C" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const kill = () => child.kill("SIGKILL");
    signal.addEventListener("abort", kill);
    try {
      const { success, code, stderr } = await child.output();
      signal.throwIfAborted();
      if (!success) throw new VirtxError("storage", complaint(new TextDecoder().decode(stderr), path, code));
    } finally {
      signal.removeEventListener("abort", kill);
    }
  }
}

/** What qemu-img said, without its own name and the temporary one of the image. */
function complaint(stderr: string, path: string, code: number): string {
  const words = stderr.trim().replace(/^qemu-img: /, "").replaceAll(path, "image").replace(/^image: /, "");
  return words === "" ? `qemu-img ended with exit code ${code}` : words;
}
