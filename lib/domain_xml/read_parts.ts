import { unescapeXml, type XmlElement } from "./element.ts";
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
  readonly name: string;
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
  const fail = (why: string) => new UnreadableXml(`Cannot read <${rootName}>: ${why}`);
  // In order: "/" of an end tag, the name, all attributes, "/" of an empty element.
  const tag = /<(\/?)([^\s<>\/="'&!?]+)((?:\s+[^\s<>\/="'&]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>/y;
  const open: Frame[] = [];
  let root: XmlElement | undefined;
  let at = 0;

  /** The index after the next such text, which must exist. */
  const after = (end: string, from: number) => {
    const index = xml.indexOf(end, from);
    if (index < 0) throw fail(`"${end}" is missing`);
    return index + end.length;
  };

  for (;;) {
    const less = xml.indexOf("<", at);
    const text = xml.slice(at, less < 0 ? undefined : less);
    const inside = open.at(-1);
    if (inside === undefined && text.trim() !== "") throw fail("there is text outside the root element");
    const plain = unescapeXml(text); // of what is passed over, too: it has to be readable
    if (inside?.kept !== undefined) inside.kept.text += plain;
    if (less < 0) break;
    if (xml.startsWith("<!--", less)) {
      at = after("-->", less + 4);
    } else if (xml.startsWith("<?", less)) {
      at = after("?>", less + 2);
    } else if (inside !== undefined && xml.startsWith("<![CDATA[", less)) {
      at = after("]]>", less);
      if (inside.kept !== undefined) inside.kept.text += xml.slice(less + 9, at - 3);
    } else {
      tag.lastIndex = less;
      const match = tag.exec(xml);
      if (match === null) throw fail(`malformed markup at character ${less}`);
      at = tag.lastIndex;
      const [, end, name = "", attributes = "", empty] = match;
      if (end === "/") {
        if (inside?.name !== name || attributes !== "" || empty === "/") {
          throw fail(`</${name}> closes nothing`);
        }
        open.pop();
        continue;
      }
      if (inside === undefined && (root !== undefined || name !== rootName)) {
        throw fail(`<${name}> is not it`);
      }
      const frame = begin(inside, name, attributes, parts);
      root ??= frame.kept;
      if (empty === "") open.push(frame);
    }
  }
  const last = open.at(-1);
  if (root === undefined || last !== undefined) {
    throw fail(last ? `<${last.name}> has no end` : "it is empty");
  }
  return root;
}

function begin(parent: Frame | undefined, name: string, attributes: string, rootParts: Parts): Frame {
  const parts = parent === undefined
    ? rootParts
    : parent.parts === "all"
    ? "all"
    : choice(parent.parts, name);
  if (parts === undefined) return { name, kept: undefined, parts: NOTHING };
  const kept: OpenElement = { name, attributes: parseAttributes(attributes), children: [], text: "" };
  parent?.kept?.children.push(kept);
  return { name, kept, parts };
}

function choice(parts: ReadonlyMap<string, Parts>, name: string): Parts | undefined {
  return parts.size === 0 ? undefined : parts.get(name) ?? parts.get(name.slice(name.indexOf(":") + 1));
}

/** The attributes of a tag, whose syntax is known to be right. */
function parseAttributes(attributes: string): Map<string, string> {
  const map = new Map<string, string>();
  for (
    const [, name = "", , double, single] of attributes.matchAll(/([^\s=]+)\s*=\s*("([^"]*)"|'([^']*)')/g)
  ) {
    map.set(name, unescapeXml(double ?? single ?? ""));
  }
  return map;
}
