import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";

/** What the agent's requests are made of. */
export type Packable =
  | string
  | number
  | boolean
  | Uint8Array
  | readonly string[]
  | ReadonlyMap<string, string>;

/** A request's header or body; the names are those of Serf's Go structs. */
export type PackableStruct = Readonly<Record<string, Packable>>;

/**
 * MessagePack as Serf's agents read and write it: strings as str, byte slices as bin, structs as maps. Integers must be
 * below 2^32, as larger ones would be packed as floats, which Go refuses to read as integers.
 */
export class MessagePack {
  // Without records, which are msgpackr's own extension
  readonly #packr = new Packr({ useRecords: false, variableMapSize: true });
  // Maps and not objects, as keys (of tags) are the choice of others; copies, as the buffer below is used again
  readonly #unpackr = new Unpackr({
    useRecords: false,
    mapsAsObjects: false,
    int64AsType: "number",
    copyBuffers: true,
  });

  /** One after the other. */
  pack(...values: readonly PackableStruct[]): Uint8Array<ArrayBuffer> {
    const parts = values.map((value) => this.#packr.pack(value));
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  /** Of exactly one value, as {@link import("./splitter.ts").ValueSplitter} finds them. */
  unpack(bytes: Uint8Array): unknown {
    return this.#unpackr.unpack(bytes);
  }
}
