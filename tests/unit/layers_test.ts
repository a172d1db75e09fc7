import assert from "node:assert/strict";

/** The layers of lib/, lowest first; each may import from those before it and from itself. */
const LAYERS: readonly (readonly string[])[] = [
  ["model"],
  ["posix"],
  ["domain_xml", "libvirt", "serf"],
  ["host", "storage", "registry", "cluster"],
  ["vm"],
  ["api"],
  ["cli", "daemon"],
];

/** Within one layer, what may look sideways, and why. */
const SIDEWAYS = new Set([
  "host → cluster", // the monitor keeps this host's entries of the inventory
  "registry → storage", // the journal records the names of disks that storage makes
  "libvirt → domain_xml", // definitions are told without their passwords
  "cli → daemon", // one of the commands is to be the daemon
]);

const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*"(\.[^"]+)"/g;

function rank(layer: string): number {
  return LAYERS.findIndex((names) => names.includes(layer));
}

async function* sources(directory: URL): AsyncGenerator<URL> {
  for await (const entry of Deno.readDir(directory)) {
    const url = new URL(entry.name + (entry.isDirectory ? "/" : ""), directory);
    if (entry.isDirectory) yield* sources(url);
    else if (entry.name.endsWith(".ts")) yield url;
  }
}

function layerOf(url: URL, lib: URL): string {
  return url.href.slice(lib.href.length).split("/")[0] ?? "";
}

Deno.test("imports point one way: from each layer to those below it", async () => {
  const lib = new URL("../../lib/", import.meta.url);
  const wrong: string[] = [];
  let seen = 0;
  for await (const file of sources(lib)) {
    const from = layerOf(file, lib);
    assert.notEqual(rank(from), -1, `lib/${from} is no layer that design and test know`);
    for (const [, specifier] of (await Deno.readTextFile(file)).matchAll(IMPORT)) {
      const target = new URL(specifier ?? "", file);
      seen++;
      if (!target.href.startsWith(lib.href)) {
        wrong.push(`${file.pathname} imports ${specifier}, which is outside lib/`);
        continue;
      }
      const to = layerOf(target, lib);
      if (to === from || rank(to) < rank(from) || SIDEWAYS.has(`${from} → ${to}`)) continue;
      wrong.push(`${file.pathname} imports ${specifier}: ${from} may not use ${to}`);
    }
  }
  assert.ok(seen > 0);
  assert.deepEqual(wrong, []);
});
