const DIRECTORY = new URL("../fixtures/gossip/", import.meta.url);

/** The payload that a file in tests/fixtures/gossip writes down; its README explains the notation. */
export async function gossipFixture(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const text = await Deno.readTextFile(new URL(`${name}.hex`, DIRECTORY));
  const bytes: number[] = [];
  for (const line of text.split("\n")) {
    for (const [token, quoted] of line.replace(/#.*$/, "").matchAll(/"([^"]*)"|\S+/g)) {
      if (quoted !== undefined) bytes.push(...new TextEncoder().encode(quoted));
      else if (/^[0-9a-f]{2}$/.test(token)) bytes.push(parseInt(token, 16));
      else throw new Error(`${name}.hex has ${token}, which is no byte`);
    }
  }
  return Uint8Array.from(bytes);
}
