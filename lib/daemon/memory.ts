import { inBackground } from "../model/background.ts";
import type { Libc } from "../posix/libc.ts";

/**
 * The start is over at the first, in the storage's Worker, too, and its garbage lies around. At the second so is what goes on
 * after it: a registry that has to be brought up to date, say.
 */
const SETTLED_MS = [2_000, 30_000];
/** malloc fragments slowly, by the answers of libvirt. */
const TRIM_INTERVAL_MS = 60_000;

/** V8's collector, which the executable exposes (--expose-gc); elsewhere it is absent. */
function collectGarbage(): void {
  (globalThis as { readonly gc?: () => void }).gc?.();
}

/**
 * Gives memory back that guests can use better: after the start, what only the start needed (V8's garbage, malloc's, and
 * the pages of the program itself), then from time to time what malloc keeps. Until disposed.
 */
export function keepMemoryLow(libc: Libc): Disposable {
  const giveBack = () => {
    collectGarbage();
    libc.forgetProgram(Deno.realPathSync(Deno.execPath()));
    inBackground(libc.trimMemory());
  };
  const settled = SETTLED_MS.map((ms) => setTimeout(giveBack, ms));
  const trimming = setInterval(() => inBackground(libc.trimMemory()), TRIM_INTERVAL_MS);
  return {
    [Symbol.dispose]() {
      settled.forEach((timer) => clearTimeout(timer));
      clearInterval(trimming);
    },
  };
}
