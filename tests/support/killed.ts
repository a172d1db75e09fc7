import assert from "node:assert/strict";

/**
 * Runs a module as a program of its own that is killed by SIGKILL when its fault hook reaches the n-th point; the name
 * of that point, or undefined if it ended by itself before. The module calls {@link killAtPoint} for its hook.
 */
export async function runKilledAt(
  n: number,
  module: string,
  ...args: readonly string[]
): Promise<string | undefined> {
  const { signal, success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", module, String(n), ...args],
  }).output();
  assert.ok(success || signal === "SIGKILL", new TextDecoder().decode(stderr));
  return success ? undefined : new TextDecoder().decode(stdout).trim().split("\n").at(-1);
}

/** The fault hook of such a program. */
export function killAtPoint(n: number): (point: string) => void {
  let reached = 0;
  return (point) => {
    if (++reached !== n) return;
    Deno.stdout.writeSync(new TextEncoder().encode(`${point}\n`));
    Deno.kill(Deno.pid, "SIGKILL");
  };
}
