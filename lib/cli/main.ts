import { forgetForeignVariables } from "./environment.ts";

/** The name under which the executable is the client alone. */
const CLIENT = "virtx";

/**
 * What the executable does with its arguments; the exit code. Each command's code is loaded only when it is asked
 * for, so that the client does not pay for the daemon, nor either for help.
 *
 * @param version of virtxd
 */
export async function main(args: readonly string[], version: string): Promise<number> {
  forgetForeignVariables(Deno.env);
  const [command, ...rest] = args;
  if (await calledAs() === CLIENT) return await client(args, CLIENT, version);
  if (command === undefined || command.startsWith("-")) return await serve(args, version);
  if (command === "serve") return await serve(rest, version);
  return await client(args, "virtxd", version);
}

async function serve(args: readonly string[], version: string): Promise<number> {
  const { serve } = await import("./serve.ts");
  return await serve(args, version);
}

async function client(args: readonly string[], program: string, version: string): Promise<number> {
  const { client } = await import("./client.ts");
  return await client({ args, program, version });
}

/** The last part of the name that the executable was called by, be it a link. */
async function calledAs(): Promise<string> {
  // The self-extracting form says it; of the compiled one only the process knows.
  const name = Deno.env.get("VIRTX_ARGV0") ?? (await import("node:process")).default.argv0;
  return name.slice(name.lastIndexOf("/") + 1);
}
