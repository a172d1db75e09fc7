/**
 * A program that gossips what it is told, as anybody can who reaches a Serf agent: standard input has one user event a
 * line, its name and its payload in hexadecimal digits.
 */
import { SerfAgent } from "../../../lib/serf/agent.ts";
import { silentLogger } from "../../../lib/model/log.ts";

if (import.meta.main) {
  const [address = ""] = Deno.args;
  await using agent = await SerfAgent.open({ address, log: silentLogger });
  for (const line of (await new Response(Deno.stdin.readable).text()).split("\n")) {
    const [name, digits = ""] = line.split(" ");
    if (name) await agent.userEvent(name, Uint8Array.fromHex(digits));
  }
}
