import { XMLParser, XMLValidator } from "fast-xml-parser";
import { errorMessage } from "../model/error.ts";
import { unescapeXml, type UnknownEntities, type XmlElement } from "./element.ts";
import { UnreadableXml } from "./unreadable_xml.ts";

/** fast-xml-parser's ordered form: one key that is the element's name, beside the attributes under ":@". */
type Ordered = Readonly<Record<string, unknown>>;

const ATTRIBUTE_PREFIX = "@";
const CDATA = "#cdata";
/** What libvirt's own parser (libxml2) takes. */
const DEPTH_MAX = 256;

/**
 * Reads a document into a tree. The parser alone would accept ill-formed input and convert what looks like numbers;
 * so the validator goes first (it overlooks a single character after the end), and every value stays text. A DTD is
 * refused, and entities other than XML's own five with it, unless they are to be kept: libvirt reads the DTD of what it is
 * given, and prints the references without it.
 *
 * @throws VirtxError `internal` if the document is not well-formed or its root has another name.
 */
export function readXml(xml: string, rootName: string, unknown: UnknownEntities = "refused"): XmlElement {
  const verdict = XMLValidator.validate(xml);
  if (verdict !== true) {
    const { line, msg } = verdict.err;
    throw new UnreadableXml(`Cannot read <${rootName}>: line ${line}: ${msg}`);
  }
  if (!xml.trimEnd().endsWith(">")) {
    throw new UnreadableXml(`Cannot read <${rootName}>: there is text after the end`);
  }
  if (xml.includes("<!DOCTYPE")) throw new UnreadableXml(`Cannot read <${rootName}>: it has a DTD`);
  const parser = new XMLParser({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: ATTRIBUTE_PREFIX,
    parseTagValue: false,
    parseAttributeValue: false,
    trimValues: false,
    processEntities: false,
    ignoreDeclaration: true,
    ignorePiTags: true,
    cdataPropName: CDATA,
    maxNestedTags: DEPTH_MAX,
  });
  let nodes: readonly Ordered[];
  try {
    nodes = parser.parse(xml);
  } catch (error) {
    throw new UnreadableXml(`Cannot read <${rootName}>: ${errorMessage(error)}`, error);
  }
  const roots = nodes.filter((node) => !("#text" in node));
  const [root] = roots;
  if (root === undefined || roots.length > 1 || !Array.isArray(root[rootName])) {
    throw new UnreadableXml(`Cannot read <${rootName}>: the document is something else`);
  }
  return convert(root, rootName, unknown);
}

function convert(node: Ordered, name: string, unknown: UnknownEntities): XmlElement {
  const attributes = new Map<string, string>();
  for (const [key, value] of Object.entries((node[":@"] ?? {}) as Record<string, string>)) {
    attributes.set(key.slice(ATTRIBUTE_PREFIX.length), unescapeXml(value, unknown));
  }
  const children: XmlElement[] = [];
  let text = "";
  for (const inner of node[name] as readonly Ordered[]) {
    const key = Object.keys(inner).find((candidate) => candidate !== ":@");
    if (key === "#text") text += unescapeXml(String(inner[key]), unknown);
    else if (key === CDATA) text += plainText(inner[key] as readonly Ordered[]);
    else if (key !== undefined) children.push(convert(inner, key, unknown));
  }
  return { name, attributes, children, text };
}

/** A CDATA section's text, in which nothing is escaped. */
function plainText(nodes: readonly Ordered[]): string {
  return nodes.map((node) => String(node["#text"] ?? "")).join("");
}
