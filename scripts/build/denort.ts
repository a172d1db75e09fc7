import { must, run } from "../command.ts";

/** How long the server that has denort may take to answer at all. */
const PROBE_TIMEOUT_MS = 5_000;

/** Whether `deno compile` can get the runtime that it puts into executables, and if not, why. */
export type DenortAnswer = { readonly usable: true } | { readonly usable: false; readonly why: string };

/**
 * Looks for denort as `deno compile` does: DENORT_BIN, then Deno's cache, then dl.deno.land. Asked beforehand, because
 * compile takes a full Deno in DENORT_BIN without a word (the result would ignore the program), and may wait long for
 * a server that it cannot reach.
 */
export async function findDenort(env: { get(name: string): string | undefined }): Promise<DenortAnswer> {
  const named = env.get("DENORT_BIN");
  if (named !== undefined) return await isDenort(named);
  const path = `release/v${Deno.version.deno}/denort-${Deno.build.target}.zip`;
  const { denoDir } = JSON.parse(await must([Deno.execPath(), "info", "--json"]));
  if (await exists(`${denoDir}/dl/${path}`)) return { usable: true };
  return await isReachable(`https://dl.deno.land/${path}`);
}

/** denort without a program in it does not know --version; Deno does. */
async function isDenort(path: string): Promise<DenortAnswer> {
  if (!await exists(path)) return { usable: false, why: `DENORT_BIN names "${path}", which is not there` };
  const { stdout } = await run([path, "--version"], { timeoutMs: 10_000 });
  return stdout.startsWith("deno ")
    ? { usable: false, why: `DENORT_BIN names "${path}", which is a full Deno rather than denort` }
    : { usable: true };
}

async function isReachable(url: string): Promise<DenortAnswer> {
  try {
    const response = await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    if (response.ok) return { usable: true };
    return { usable: false, why: `${url} answers ${response.status}` };
  } catch (error) {
    return { usable: false, why: `${url} cannot be reached (${innermost(error)})` };
  }
}

/** fetch says only that it failed; the reason is further down. */
function innermost(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : innermost(error.cause);
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
