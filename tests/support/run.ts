/** Runs a program and gives its standard output; throws with its standard error if it does not exit with 0. */
export async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { success, code, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${program} ${args.join(" ")}: exit ${code}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}
