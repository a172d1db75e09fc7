import { must } from "../command.ts";
import { exists } from "../files.ts";

/** Deno has types for Node's API, but does not print them. In deno.json these would replace Deno's. */
const NODE_TYPES = { "@types/node": "npm:@types/node@25.9.9" };

/** Where the types of what is not ours are found. */
export interface Types {
  /** Has the packages of deno.json in node_modules. */
  readonly directory: string;
  /** What `deno types` prints. */
  readonly deno: string;
}

/**
 * Lays out the types of Deno and of all npm packages for TypeScript, which reads neither `npm:` imports nor Deno's
 * cache. They are kept in Deno's cache, by what they were made from: making them takes a second, and is done once.
 */
export async function layOutTypes(root: string): Promise<Types> {
  const config = await Deno.readTextFile(`${root}/deno.json`);
  const lock = await Deno.readTextFile(`${root}/deno.lock`);
  const cache = `${await denoDirectory()}/virtxd_types`;
  const imports = { ...JSON.parse(config).imports, ...NODE_TYPES };
  const name = await sha256(JSON.stringify([Deno.version, imports, lock]));
  const types = { directory: `${cache}/${name}`, deno: `${cache}/${name}/deno.d.ts` };
  if (await exists(types.deno)) return types;

  await Deno.mkdir(cache, { recursive: true });
  const unfinished = await Deno.makeTempDir({ dir: cache, prefix: "unfinished-" });
  try {
    await Deno.writeTextFile(
      `${unfinished}/deno.json`,
      JSON.stringify({ imports, nodeModulesDir: "auto", lock: { frozen: false } }),
    );
    await Deno.writeTextFile(`${unfinished}/deno.lock`, lock);
    await must([Deno.execPath(), "install", "--quiet"], { cwd: unfinished, timeoutMs: 300_000 });
    await Deno.writeTextFile(`${unfinished}/deno.d.ts`, await must([Deno.execPath(), "types"]));
    await Deno.rename(unfinished, types.directory);
  } catch (error) {
    await Deno.remove(unfinished, { recursive: true });
    if (!await exists(types.deno)) throw error; // another run has been quicker
  }
  return types;
}

async function denoDirectory(): Promise<string> {
  const { denoDir } = JSON.parse(await must([Deno.execPath(), "info", "--json"]));
  return denoDir;
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}
