import { unescapeXml } from "./element.ts";
import { UnreadableXml } from "./unreadable_xml.ts";

/** What stands between tags: characters to be unescaped, a CDATA section, or a comment or instruction. */
export type CharacterKind = "text" | "cdata" | "aside";

/** Is told what a document consists of, in its order; places are indexes into the document. */
export interface XmlVisitor {
  /** A start tag, with its attributes as they are written; empty: there will be no end. */
  open(name: string, attributes: string, from: number, to: number, empty: boolean): void;
  /** An end tag. */
  close(to: number): void;
  /** What stands between two tags, within the root. */
  characters(from: number, to: number, kind: CharacterKind): void;
}

/**
 * Goes through a document once, and checks its nesting and the syntax of its tags.
 *
 * @throws VirtxError `internal` if the document is not well-formed or its root has another name.
 */
export function scanXml(xml: string, rootName: string, visitor: XmlVisitor): void {
  const fail = (why: string) => new UnreadableXml(`Cannot read <${rootName}>: ${why}`);
  // In order: "/" of an end tag, the name, all attributes, "/" of an empty element.
  const tag = /<(\/?)([^\s<>\/="'&!?]+)((?:\s+[^\s<>\/="'&]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>/y;
  const open: string[] = [];
  let begun = false;
  let at = 0;

  /** The index after the next such text, which must exist. */
  const after = (end: string, from: number) => {
    const index = xml.indexOf(end, from);
    if (index < 0) throw fail(`"${end}" is missing`);
    return index + end.length;
  };
  const aside = (from: number, kind: CharacterKind) => {
    if (open.length > 0) visitor.characters(from, at, kind);
  };

  for (;;) {
    const less = xml.indexOf("<", at);
    const end = less < 0 ? xml.length : less;
    if (end > at) {
      if (open.length > 0) visitor.characters(at, end, "text");
      else if (xml.slice(at, end).trim() !== "") throw fail("there is text outside the root element");
    }
    if (less < 0) break;
    if (xml.startsWith("<!--", less)) {
      at = after("-->", less + 4);
      aside(less, "aside");
    } else if (xml.startsWith("<?", less)) {
      at = after("?>", less + 2);
      aside(less, "aside");
    } else if (open.length > 0 && xml.startsWith("<![CDATA[", less)) {
      at = after("]]>", less);
      aside(less, "cdata");
    } else {
      tag.lastIndex = less;
      const match = tag.exec(xml);
      if (match === null) throw fail(`malformed markup at character ${less}`);
      at = tag.lastIndex;
      const [, slash, name = "", attributes = "", empty] = match;
      if (slash === "/") {
        if (open.pop() !== name || attributes !== "" || empty === "/") {
          throw fail(`</${name}> closes nothing`);
        }
        visitor.close(at);
        continue;
      }
      if (open.length === 0 && (begun || name !== rootName)) throw fail(`<${name}> is not it`);
      begun = true;
      visitor.open(name, attributes, less, at, empty === "/");
      if (empty !== "/") open.push(name);
    }
  }
  const last = open.at(-1);
  if (!begun || last !== undefined) throw fail(last ? `<${last}> has no end` : "it is empty");
}

/** The text that characters stand for. */
export function plainText(source: string, kind: CharacterKind): string {
  if (kind === "text") return unescapeXml(source);
  return kind === "cdata" ? source.slice("<![CDATA[".length, -"]]>".length) : "";
}

/** The attributes of a tag, whose syntax is known to be right. */
export function parseAttributes(attributes: string): Map<string, string> {
  const map = new Map<string, string>();
  for (
    const [, name = "", , double, single] of attributes.matchAll(/([^\s=]+)\s*=\s*("([^"]*)"|'([^']*)')/g)
  ) {
    map.set(name, unescapeXml(double ?? single ?? ""));
  }
  return map;
}
