import { VirtxError } from "../model/error.ts";

/** A part of a stream of Server-Sent Events (WHATWG HTML §9.2.6), up to an empty line. */
export interface ServerSentEvent {
  /** "message" if it has no name. */
  readonly name: string;
  /** Undefined: it is no event, but a sign of life, or says how far the client is. */
  readonly data: string | undefined;
  /** With which a client goes on after this: its own, or the last that there was; empty: none so far. */
  readonly id: string;
}

/** The longest part, in characters, unless told otherwise. */
const PART_MAX = 16 * 1024 * 1024;

/** The parts of a stream, as they arrive. @throws {VirtxError} unreachable, if one is longer than any can be */
export async function* readServerSentEvents(
  body: ReadableStream<Uint8Array>,
  partMax = PART_MAX,
): AsyncGenerator<ServerSentEvent> {
  let id = "";
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    // Only where its end may be is what came before looked at again: a stream may come byte by byte.
    const mayEnd = text.includes("\n");
    const parts = mayEnd ? (rest + text).split("\n\n") : [rest + text];
    rest = parts.pop() ?? "";
    if (rest.length > partMax) throw new VirtxError("unreachable", "its events are too long");
    for (const part of parts) {
      const event = parsePart(part, id);
      id = event.id;
      yield event;
    }
  }
}

function parsePart(part: string, lastId: string): ServerSentEvent {
  let name = "message";
  let id = lastId;
  const data: string[] = [];
  for (const line of part.split("\n")) {
    const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === "event") name = value;
    else if (field === "id") id = value;
    else if (field === "data") data.push(value);
  }
  return { name, id, data: data.length === 0 ? undefined : data.join("\n") };
}
