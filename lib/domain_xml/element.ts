import { VirtxError } from "../model/error.ts";
import { UnreadableXml } from "./unreadable_xml.ts";

/**
 * One XML element. Attribute order, child order and text are kept; comments and processing instructions are not.
 * Names are as written, prefix included; {@link namespaceOf} resolves prefixes where they matter (metadata).
 */
export interface XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** The character data directly in this element, between its children too, unescaped. */
  readonly text: string;
}

/** What {@link element} takes as content: children, text, or undefined for "nothing here". */
export type Content = XmlElement | readonly XmlElement[] | string | number | undefined;

/**
 * Makes an element. Attributes that are undefined are left out. Names of elements and attributes are ours, literals
 * in the code, never input; values are escaped when printed.
 */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>> = {},
  ...content: readonly Content[]
): XmlElement {
  const map = new Map<string, string>();
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) map.set(key, String(value));
  const children: XmlElement[] = [];
  let text = "";
  for (const item of content) {
    if (item === undefined) continue;
    if (typeof item === "object") children.push(...[item].flat());
    else text += item;
  }
  return { name, attributes: map, children, text };
}

/** The first child of that name. */
export function child(parent: XmlElement | undefined, name: string): XmlElement | undefined {
  return parent?.children.find((candidate) => candidate.name === name);
}

/** The first element at the end of a path of child names. */
export function descend(from: XmlElement | undefined, ...path: readonly string[]): XmlElement | undefined {
  return path.reduce(child, from);
}

/** All children of that name, in order. */
export function children(parent: XmlElement | undefined, name: string): readonly XmlElement[] {
  return parent?.children.filter((candidate) => candidate.name === name) ?? [];
}

/** An attribute of an element that may be absent. */
export function attribute(of: XmlElement | undefined, name: string): string | undefined {
  return of?.attributes.get(name);
}

/** An element's text without the white space around it; empty if it is absent. */
export function trimmedText(of: XmlElement | undefined): string {
  return of?.text.trim() ?? "";
}

/** A non-negative decimal integer; undefined for anything else. libvirt prints no other form where we read numbers. */
export function integer(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,15}$/.test(text)) return undefined;
  return Number(text);
}

/**
 * Name without prefix, and namespace, of an element; `ancestors` from the root inwards.
 * See Namespaces in XML 1.0 §6: the innermost declaration of the prefix counts.
 */
export function namespaceOf(
  of: XmlElement,
  ancestors: readonly XmlElement[],
): { readonly local: string; readonly uri: string } {
  const colon = of.name.indexOf(":");
  const declaration = colon < 0 ? "xmlns" : `xmlns:${of.name.slice(0, colon)}`;
  const declaring = [...ancestors, of].findLast((candidate) => candidate.attributes.has(declaration));
  return { local: of.name.slice(colon + 1), uri: declaring?.attributes.get(declaration) ?? "" };
}

/** Prints an element as a document, two spaces a level; an element with text stays on one line, so that its text stays as it is. */
export function printXml(root: XmlElement): string {
  const lines: string[] = [];
  printInto(lines, root, "");
  return lines.join("\n") + "\n";
}

function printInto(lines: string[], of: XmlElement, indent: string): void {
  let tag = `${indent}<${of.name}`;
  for (const [name, value] of of.attributes) tag += ` ${name}="${escapeXml(value)}"`;
  if (of.children.length === 0) {
    lines.push(of.text === "" ? `${tag}/>` : `${tag}>${escapeXml(of.text)}</${of.name}>`);
    return;
  }
  if (of.text.trim() !== "") {
    throw new VirtxError("internal", `Cannot print <${of.name}>: it mixes text and elements`);
  }
  lines.push(`${tag}>`);
  for (const inner of of.children) printInto(lines, inner, indent + "  ");
  lines.push(`${indent}</${of.name}>`);
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
  // Literal ones would be normalised away by any parser (XML 1.0 §2.11, §3.3.3).
  "\t": "&#9;",
  "\n": "&#10;",
  "\r": "&#13;",
};

/**
 * Escapes text for element content and for attribute values alike. Throws `internal` on what XML 1.0 §2.2 cannot
 * hold at all: the model's validation has let it through.
 */
export function escapeXml(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  if (/[\x00-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]/.test(text) || !text.isWellFormed()) {
    throw new VirtxError(
      "internal",
      `Cannot write ${JSON.stringify(text)} as XML: it has characters that XML lacks`,
    );
  }
  return text.replace(/[&<>"'\t\n\r]/g, (character) => ESCAPES[character] ?? character);
}

const ENTITIES: ReadonlyMap<string, string> = new Map(
  Object.entries({ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }),
);

/** What is done with an entity that only a DTD could tell, which is not read: throw `internal`, or keep the reference as it is. */
export type UnknownEntities = "refused" | "kept";

/** Undoes the five predefined entities and character references (XML 1.0 §4.1, §4.6). */
export function unescapeXml(text: string, unknown: UnknownEntities = "refused"): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|([^;&]*));?/g, (all, hex, decimal, name) => {
    const code = hex !== undefined ? parseInt(hex, 16) : decimal !== undefined ? parseInt(decimal, 10) : -1;
    const plain = code < 0 ? ENTITIES.get(name) : code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
    if (plain === undefined || !all.endsWith(";")) {
      if (unknown === "kept") return all;
      throw new UnreadableXml(`Cannot read XML: it has the unknown entity ${JSON.stringify(all)}`);
    }
    return plain;
  });
}
