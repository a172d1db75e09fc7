import project from "./deno.json" with { type: "json" };
import { main } from "./lib/cli/main.ts";
import type { WorkerPort } from "./lib/posix/files_worker.ts";

if ("WorkerGlobalScope" in globalThis) {
  // Started by the daemon for its storage. One file to run is one that both forms of the executable find.
  const { serveFiles } = await import("./lib/posix/files_worker.ts");
  serveFiles(globalThis as unknown as WorkerPort); // what Deno's types say of it is how it looks elsewhere
} else {
  // Ends also if something still holds the event loop: by now, all that had to be done is done.
  Deno.exit(await main(Deno.args, project.version));
}
