/**
 * Namespaces, mounts and packages need root. For a user who is not, the script starts itself again through sudo, if that
 * asks for no password.
 * @returns the exit code of the script that ran as root, or undefined: we are root, go on
 */
export async function throughSudo(script: string): Promise<number | undefined> {
  if (Deno.uid() === 0) return undefined;
  const path = new URL(script).pathname;
  const keep = ["DENO_DIR", "HOME", "PATH"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [`${name}=${value}`];
  });
  const args = ["-n", "env", ...keep, Deno.execPath(), "run", "--allow-all", path, ...Deno.args];
  try {
    return (await new Deno.Command("sudo", { args, stdin: "inherit", stdout: "inherit", stderr: "inherit" })
      .output()).code;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Error("This needs root, and there is no sudo");
    throw error;
  }
}
