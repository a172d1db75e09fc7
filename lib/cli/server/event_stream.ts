/** An event as a server sends it (Server-Sent Events, WHATWG HTML §9.2). */
export interface ServerEvent {
  readonly type: string;
  readonly data: string;
  /** From which to go on; empty: none was given yet. */
  readonly id: string;
}

/** The longest event that is taken, in characters. */
const EVENT_MAX = 1024 * 1024;

/**
 * Takes a stream of events apart. Comments give nothing but their id.
 * @param onSign is called for whatever arrives, also for signs of life
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  onSign: (id: string) => void = () => {},
): AsyncGenerator<ServerEvent> {
  let rest = "";
  let id = "";
  for await (const part of body.pipeThrough(new TextDecoderStream())) {
    rest += part;
    const blocks = rest.split("\n\n");
    rest = blocks.pop() ?? "";
    if (rest.length > EVENT_MAX) throw new TypeError("An event is too long");
    for (const block of blocks) {
      const fields = new Map(block.split("\n").map(fieldOf));
      id = fields.get("id") ?? id;
      onSign(id);
      const data = fields.get("data");
      if (data !== undefined) yield { type: fields.get("event") ?? "message", data, id };
    }
  }
}

function fieldOf(line: string): [name: string, value: string] {
  const colon = line.indexOf(":");
  return colon === -1 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
}
