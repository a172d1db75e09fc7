/**
 * The demonstration: builds virtxd, starts a lab of three hosts, and shows by REST what a cluster does: a VM is created on one
 * host and seen from another, moves while it runs, is lost with its host, and comes back.
 *
 *     deno task demo           ends by itself and leaves nothing running
 *     deno task demo --keep    leaves the lab with the running VM
 */
import { buildAll, heading } from "./demo/demo_lab.ts";
import { ensurePackages } from "./packages.ts";
import { print, printedProgress as progress } from "./progress.ts";
import { runAsRoot } from "./root.ts";

/** First what any user can do, then the rest as root. */
async function main(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => arg !== "--keep");
  if (unknown !== undefined) {
    print(`Usage: deno task demo [--keep]\n`);
    return unknown === "--help" ? 0 : 64;
  }
  try {
    await ensurePackages(progress);
    heading("Preparing");
    await buildAll();
    return await runAsRoot(new URL("demo/run.ts", import.meta.url).href, args);
  } catch (error) {
    print(`${error instanceof Error ? error.message : error}\n`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
