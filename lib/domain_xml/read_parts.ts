import type { XmlElement } from "./element.ts";
import { parseAttributes, plainText, scanXml } from "./scan.ts";
import { UnreadableXml } from "./unreadable_xml.ts";

/** Which elements to keep: below each name, with or without a prefix, its own choice, or everything. */
export type Parts = "all" | ReadonlyMap<string, Parts>;

interface OpenElement extends XmlElement {
  readonly attributes: Map<string, string>;
  readonly children: XmlElement[];
  text: string;
}

/** An element that has begun; without `kept` it is passed over. */
interface Frame {
  readonly kept: OpenElement | undefined;
  readonly parts: Parts;
}

const NOTHING: Parts = new Map();

/**
 * Reads those parts of a document that are asked for; the result equals what {@link readXml} makes of them. It is for the
 * many definitions that a host has when virtxd starts: several times faster, because most of each is only checked for
 * nesting and attribute syntax, in one pass.
 *
 * @throws VirtxError `internal` if the document is not well-formed or its root has another name.
 */
export function readParts(xml: string, rootName: string, parts: Parts): XmlElement {
  const open: Frame[] = [];
  let root: XmlElement | undefined;
  scanXml(xml, rootName, {
    open(name, attributes, _from, _to, empty) {
      const frame = begin(open.at(-1), name, attributes, parts);
      root ??= frame.kept;
      if (!empty) open.push(frame);
    },
    close() {
      open.pop();
    },
    characters(from, to, kind) {
      const text = plainText(xml.slice(from, to), kind); // of what is passed over, too: it has to be readable
      const kept = open.at(-1)?.kept;
      if (kept !== undefined) kept.text += text;
    },
  });
  if (root === undefined) throw new UnreadableXml(`Cannot read <${rootName}>: it is empty`);
  return root;
}

function begin(parent: Frame | undefined, name: string, attributes: string, rootParts: Parts): Frame {
  const parts = parent === undefined
    ? rootParts
    : parent.parts === "all"
    ? "all"
    : choice(parent.parts, name);
  if (parts === undefined) return { kept: undefined, parts: NOTHING };
  const kept: OpenElement = { name, attributes: parseAttributes(attributes), children: [], text: "" };
  parent?.kept?.children.push(kept);
  return { kept, parts };
}

function choice(parts: ReadonlyMap<string, Parts>, name: string): Parts | undefined {
  return parts.size === 0 ? undefined : parts.get(name) ?? parts.get(name.slice(name.indexOf(":") + 1));
}
