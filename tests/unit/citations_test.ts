import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);
/** Where citations are looked for; this file has some that are none. */
const DIRECTORIES = ["lib/", "scripts/", "tests/"];
const SELF = new URL(import.meta.url).href;

/** A page of the project, and which part of it: `protocol.md §3`, `protocol.md §1, "List filters"`. */
const CITATION = /(?<![\w/.}-])([\w-]+\.md)`?(?: §(\d+))?(?:, "([^"\n]+)")?/g;

async function* sources(directory: URL): AsyncGenerator<URL> {
  for await (const entry of Deno.readDir(directory)) {
    const url = new URL(entry.name + (entry.isDirectory ? "/" : ""), directory);
    if (entry.isDirectory) yield* sources(url);
    else if (/\.(ts|md)$/.test(entry.name) && url.href !== SELF) yield url;
  }
}

/** The text of a page that is named in a file: beside it, in lib/, or from the root. */
async function pageOf(name: string, file: URL): Promise<string | undefined> {
  for (const place of [new URL(name, file), new URL(`lib/${name}`, ROOT), new URL(name, ROOT)]) {
    const text = await Deno.readTextFile(place).catch(() => undefined);
    if (text !== undefined) return text;
  }
  return undefined;
}

Deno.test("every citation of a page of the project leads to a section that is there", async () => {
  const wrong: string[] = [];
  let seen = 0;
  for (const directory of DIRECTORIES) {
    for await (const file of sources(new URL(directory, ROOT))) {
      const text = await Deno.readTextFile(file);
      for (const [citation, name = "", section, title] of text.matchAll(CITATION)) {
        seen++;
        const page = await pageOf(name, file);
        const where = `${file.href.slice(ROOT.href.length)}: ${citation}`;
        if (page === undefined) wrong.push(`${where}: there is no such page`);
        else if (section !== undefined && !page.includes(`\n## ${section}. `)) {
          wrong.push(`${where}: it has no section ${section}`);
        } else if (title !== undefined && !page.includes(`\n### ${title}\n`)) {
          wrong.push(`${where}: it has no part of that name`);
        }
      }
    }
  }
  assert.ok(seen > 50, `${seen}`);
  assert.deepEqual(wrong, []);
});
