import type { LabHost } from "../host.ts";

/** How much a shaped link may fall behind: what waits longer is lost. */
const LATENCY = "400ms";
/** The largest packet that veth(4) hands over at once. */
const BURST = "64kb";

/** Limits what a host sends, whether it or its guests, until disposed: a token bucket (tc-tbf(8)) on its cable. */
export async function limitBandwidth(host: LabHost, megabitPerS: number): Promise<AsyncDisposable> {
  const bucket = ["tbf", "rate", `${megabitPerS}mbit`, "burst", BURST, "latency", LATENCY];
  await host.exec(["tc", "qdisc", "add", "dev", "eth0", "root", ...bucket]);
  return {
    async [Symbol.asyncDispose]() {
      // A host that crashed meanwhile has another cable.
      if (await host.isUp()) await host.run(["tc", "qdisc", "delete", "dev", "eth0", "root"]);
    },
  };
}
