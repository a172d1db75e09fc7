import { inBackground } from "../model/background.ts";
import type { Libc } from "../posix/libc.ts";

/** The start is over then, in the storage's Worker, too, and its garbage lies around. */
const SETTLED_MS = 2_000;
/** malloc fragments slowly, by the answers of libvirt. */
const TRIM_INTERVAL_MS = 60_000;

/** V8's collector, which the executable exposes (--expose-gc); elsewhere it is absent. */
function collectGarbage(): void {
  (globalThis as { readonly gc?: () => void }).gc?.();
}

/**
 * Gives memory back that guests can use better: once after the start, what only the start needed (V8's garbage, malloc's, and
 * the pages of the program itself), then from time to time what malloc keeps. Until disposed.
 */
export function keepMemoryLow(libc: Libc): Disposable {
  const once = setTimeout(() => {
    collectGarbage();
    libc.forgetProgram(Deno.realPathSync(Deno.execPath()));
    inBackground(libc.trimMemory());
  }, SETTLED_MS);
  const trimming = setInterval(() => inBackground(libc.trimMemory()), TRIM_INTERVAL_MS);
  return {
    [Symbol.dispose]() {
      clearTimeout(once);
      clearInterval(trimming);
    },
  };
}
