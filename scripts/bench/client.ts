import { RUNTIME_FLAGS } from "../build/runtime_flags.ts";
import type { Bench, BenchRow } from "./row.ts";
import { EXECUTABLE, isBuilt } from "./support/executable.ts";
import { percentile } from "./support/stall.ts";

const RUNS = 20;

/** A program that does nothing, and one that asks what `vm list` asks, of the bare runtime. */
const EMPTY = "Deno.exit(0);";
const ASKING = `
const server = Deno.env.get("VIRTX_API_SERVER");
await Promise.all(["/vms", "/hosts"].map(async (path) => (await fetch(server + path)).json()));
Deno.exit(0);`;

const UUID = "0b8b3f3a-5b0e-4c43-9b4e-0a4f6f3c2d11";
const VM = {
  uuid: UUID,
  fields: { name: "web1", host: UUID, runstate: 4, vlanid: 0, custom: { name: "", value: "" }, ts: 1 },
};

const HOST = {
  uuid: UUID,
  fields: {
    name: "virt1",
    cpuarch: { arch: "x86_64", vendor: "AMD" },
    cpudef: { model: "EPYC", nodes: 1, sockets: 1, cores: 8, threads: 1 },
    cstate: 1,
    memoryavailable: 1024,
    hpavailable: 0,
    osid: "debian",
    osv: "12",
    ts: 1,
  },
};

/** How long the client takes from its start to its end, beside the runtime that it stands on. */
const bench: Bench = async ({ skip }) => {
  if (!await isBuilt()) {
    skip("start of the client", "run deno task build first");
    return [];
  }
  const directory = await Deno.makeTempDir({ prefix: "virtxd-bench-" });
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    return Response.json({ items: [request.url.endsWith("/vms") ? VM : HOST] });
  });
  try {
    await Deno.writeTextFile(`${directory}/empty.js`, EMPTY);
    await Deno.writeTextFile(`${directory}/asking.js`, ASKING);
    const runtime = [Deno.execPath(), "run", "--quiet", "--no-config", "--no-lock", ...RUNTIME_FLAGS];
    const env = {
      ...Deno.env.toObject(),
      VIRTX_API_SERVER: `http://127.0.0.1:${server.addr.port}`,
      DENO_NO_UPDATE_CHECK: "1",
      XDG_CACHE_HOME: directory, // of the names that are completed
    };
    const [version, list, names, empty, asking] = await medians([
      [EXECUTABLE, "version"],
      [EXECUTABLE, "vm", "list"],
      [EXECUTABLE, "complete", "--", "vm", "get", "we"],
      [...runtime, `${directory}/empty.js`],
      [...runtime, `${directory}/asking.js`],
    ], env);
    return [
      row("client: version", version, "the runtime, empty", empty, 1.5),
      row("client: vm list", list, "the runtime, asking the same", asking),
      { ...row("client: completion of a name", names, "the runtime, empty", empty), ...atMostMs(names, 200) },
    ];
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
};
export default bench;

function row(
  name: string,
  value = NaN,
  comparedTo: string,
  comparedValue = NaN,
  most?: number,
): BenchRow {
  const ratio = value / comparedValue;
  const target = most === undefined ? {} : { target: `≤ ${most} ×`, ok: ratio <= most };
  return { name, value, unit: "ms", comparedTo, comparedValue, ratio, ...target };
}

function atMostMs(value = NaN, most: number): Pick<BenchRow, "target" | "ok"> {
  return { target: `≤ ${most} ms`, ok: value <= most };
}

/** Of each command line, the milliseconds until it has ended; in turns, so that all meet the same load. */
async function medians(
  lines: readonly (readonly string[])[],
  env: Record<string, string>,
): Promise<readonly number[]> {
  const taken: number[][] = lines.map(() => []);
  for (let run = 0; run <= RUNS; run++) {
    for (const [i, [program = "", ...args]] of lines.entries()) {
      const began = performance.now();
      const { success } = await new Deno.Command(program, { args, env, stdout: "null", stderr: "inherit" })
        .output();
      if (!success) throw new Error(`${program} ${args.join(" ")} failed`);
      // The first one fills caches.
      if (run > 0) taken[i]?.push(performance.now() - began);
    }
  }
  return taken.map((times) => percentile(times, 0.5));
}
