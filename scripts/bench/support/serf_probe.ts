/**
 * A program within a lab host's network: sends a user event for each line of its standard input, and prints the name of each
 * event that the agent tells it of, with when that was.
 */
import { inBackground } from "../../../lib/model/background.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { SerfAgent } from "../../../lib/serf/agent.ts";
import { SERF_RPC } from "../../lab/services.ts";
import { print } from "../../progress.ts";
import { wallClock } from "./wall_clock.ts";

async function main(): Promise<void> {
  await using agent = await SerfAgent.open({ address: SERF_RPC, log: silentLogger });
  print("ready\n");
  inBackground(report(agent));
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    for (const name of text.split("\n")) {
      if (name === "") continue;
      const at = wallClock();
      await agent.userEvent(name, new Uint8Array(64));
      print(`sent ${name} ${at}\n`);
    }
  }
}

async function report(agent: SerfAgent): Promise<void> {
  for await (const event of agent.events) {
    if (event.kind === "user") print(`heard ${event.name} ${wallClock()}\n`);
  }
}

if (import.meta.main) await main();
