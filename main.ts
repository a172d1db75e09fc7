import project from "./deno.json" with { type: "json" };
import { main } from "./lib/cli/main.ts";

// Ends also if something still holds the event loop: by now, all that had to be done is done.
Deno.exit(await main(Deno.args, project.version));
