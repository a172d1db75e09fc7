import { stripVTControlCharacters } from "node:util";

/** How much of a run that says nothing of errors is shown. */
const LAST_LINES = 40;
/** Stops an account that never ends. */
const MOST_LINES = 150;

/**
 * What a run of `deno test` said of its failures: from its heading "ERRORS" on; of one that broke off before that, the last
 * lines.
 */
export function failuresIn(transcript: string): string {
  const lines = stripVTControlCharacters(transcript).trimEnd().split("\n");
  const errors = lines.findLastIndex((line) => line.trim() === "ERRORS");
  const told = errors === -1 ? lines.slice(-LAST_LINES) : lines.slice(errors + 1);
  return told.slice(0, MOST_LINES).join("\n").trim();
}

/** All of a stream as text; it is passed on as it comes, if it is said where to. */
export async function heard(
  stream: ReadableStream<Uint8Array>,
  to: { writeSync(bytes: Uint8Array): number } | undefined,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of stream) {
    for (let at = 0; to && at < bytes.length;) at += to.writeSync(bytes.subarray(at));
    text += decoder.decode(bytes, { stream: true });
  }
  return text;
}
