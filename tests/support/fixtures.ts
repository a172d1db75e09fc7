const FIXTURES = new URL("../fixtures/", import.meta.url);

/** The text of a file below tests/fixtures. */
export function fixture(path: string): string {
  return Deno.readTextFileSync(new URL(path, FIXTURES));
}

/** A JSON file below tests/fixtures. */
export function jsonFixture(path: string): unknown {
  return JSON.parse(fixture(path));
}

/**
 * The text that a golden file below tests/fixtures says. With UPDATE_GOLDEN in the environment the file is made to say
 * `actual`: then look at the difference before committing it.
 */
export function golden(path: string, actual: string): string {
  if (Deno.env.has("UPDATE_GOLDEN")) Deno.writeTextFileSync(new URL(path, FIXTURES), actual);
  return fixture(path);
}
