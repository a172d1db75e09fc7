import assert from "node:assert/strict";

const DIRECTORY = new URL("../../../../lib/cli/definition/", import.meta.url);

/** What stands on its own, as the client loads it for every command that has a definition. */
const LIGHT = /^(\.\/|\.\.\/output\/units\.ts$|\.\.\/\.\.\/model\/)/;

/** Modules that are loaded when their format is asked for, and for what. */
const LOADED_LATER: Readonly<Record<string, string>> = {
  "syntax_yaml.ts": "yaml",
  "print_yaml.ts": "yaml",
  "syntax_toml.ts": "smol-toml",
};

Deno.test("no format's library and nothing of the daemon is loaded before it is needed", async () => {
  let seen = 0;
  for await (const { name } of Deno.readDir(DIRECTORY)) {
    const source = await Deno.readTextFile(new URL(name, DIRECTORY));
    for (const [, specifier = ""] of source.matchAll(/^(?:import|export)\b[^;]*?from "([^"]+)";/gm)) {
      seen++;
      assert.ok(LIGHT.test(specifier) || LOADED_LATER[name] === specifier, `${name} imports ${specifier}`);
      assert.ok(!(specifier.slice(2) in LOADED_LATER), `${name} loads ${specifier} at once`);
    }
  }
  assert.ok(seen > 20);
});
