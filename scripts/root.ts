import { run } from "./command.ts";

/**
 * What to put before a command so that it runs as root: nothing, or sudo if that asks for no password; undefined: there is
 * no way.
 */
export async function rootPrefix(): Promise<string[] | undefined> {
  if (Deno.uid() === 0) return [];
  try {
    return (await run(["sudo", "-n", "true"])).code === 0 ? ["sudo", "-n"] : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Namespaces and mounts need root. For a user who is not, the script starts itself again through sudo.
 * @param script import.meta.url of the script
 * @returns the exit code of the script that ran as root, or undefined: we are root, go on
 */
export async function throughSudo(script: string): Promise<number | undefined> {
  const sudo = await rootPrefix();
  if (sudo === undefined) throw new Error("The lab needs root, or sudo without a password");
  const [program, ...options] = sudo;
  if (program === undefined) return undefined;
  const keep = ["DENO_DIR", "HOME", "PATH"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [`${name}=${value}`];
  });
  const again = [Deno.execPath(), "run", "--allow-all", new URL(script).pathname, ...Deno.args];
  const args = [...options, "env", ...keep, ...again];
  const terminal = { stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
  return (await new Deno.Command(program, { args, ...terminal }).spawn().status).code;
}
