import { VirtxError } from "../model/error.ts";
import { escapeXml, printXml, type XmlElement } from "./element.ts";
import { type CharacterKind, parseAttributes, plainText, scanXml } from "./scan.ts";
import { UnreadableXml } from "./unreadable_xml.ts";

/** Two spaces a level, as libvirt prints. */
const INDENT = "  ";

/**
 * A document that can be changed here and there: what is not changed is printed as it was, byte for byte, with its quotes,
 * comments and white space. So an edit keeps what it knows nothing of.
 */
export class XmlDocument {
  private constructor(readonly before: string, readonly root: XmlNode, readonly after: string) {}

  /**
   * @param depth of the root in the document that it is to be put into
   * @throws VirtxError `internal` if the document is not well-formed or its root has another name.
   */
  static parse(xml: string, rootName: string, depth = 0): XmlDocument {
    const open: XmlNode[] = [];
    let root: XmlNode | undefined;
    let begin = 0, end = 0;
    scanXml(xml, rootName, {
      open(name, attributes, from, to, empty) {
        const node = new XmlNode(name, xml.slice(from, to), attributes, depth + open.length, empty);
        open.at(-1)?.adopt(node);
        if (root === undefined) {
          root = node;
          begin = from;
        }
        if (!empty) open.push(node);
        else if (open.length === 0) end = to;
      },
      close(to) {
        open.pop();
        if (open.length === 0) end = to;
      },
      characters(from, to, kind) {
        open.at(-1)?.keep(xml.slice(from, to), kind);
      },
    });
    if (root === undefined) throw new UnreadableXml(`Cannot read <${rootName}>: it is empty`);
    return new XmlDocument(xml.slice(0, begin), root, xml.slice(end));
  }

  print(): string {
    return this.before + this.root.print() + this.after;
  }
}

interface Characters {
  readonly source: string;
  readonly kind: CharacterKind;
}

/** An element of a document that can be changed. */
export class XmlNode implements XmlElement {
  readonly #depth: number;
  readonly #attributes: Map<string, string>;
  readonly #content: (Characters | XmlNode)[] = [];
  /** Its start tag as it was; undefined: it has changed. */
  #tag: string | undefined;
  #empty: boolean;

  constructor(readonly name: string, tag: string, attributes: string, depth: number, empty: boolean) {
    this.#tag = tag;
    this.#attributes = parseAttributes(attributes);
    this.#depth = depth;
    this.#empty = empty;
  }

  get attributes(): ReadonlyMap<string, string> {
    return this.#attributes;
  }

  get children(): readonly XmlNode[] {
    return this.#content.filter((part) => part instanceof XmlNode);
  }

  get text(): string {
    return this.#content.map((part) => part instanceof XmlNode ? "" : plainText(part.source, part.kind)).join(
      "",
    );
  }

  /** The first child of that name. */
  child(name: string): XmlNode | undefined {
    return this.children.find((child) => child.name === name);
  }

  /** For the parser: what comes next within it. */
  adopt(child: XmlNode): void {
    this.#content.push(child);
  }

  /** For the parser: what comes next within it. */
  keep(source: string, kind: CharacterKind): void {
    this.#content.push({ source, kind });
  }

  /** Sets an attribute; undefined removes it. */
  set(name: string, value: string | number | undefined): void {
    if (this.#attributes.get(name) === (value === undefined ? undefined : String(value))) return;
    if (value === undefined) this.#attributes.delete(name);
    else this.#attributes.set(name, String(value));
    this.#tag = undefined;
  }

  /** Makes text all that is in it. */
  setText(text: string | number): void {
    this.#content.splice(0, this.#content.length, { source: escapeXml(String(text)), kind: "text" });
    this.#fill();
  }

  /** Adds an element behind its last child. */
  append(element: XmlElement): XmlNode {
    return this.#insert(this.#content.findLastIndex((part) => part instanceof XmlNode) + 1, element);
  }

  /** Adds an element behind one of its children; undefined: behind the last. */
  insertAfter(child: XmlNode | undefined, element: XmlElement): XmlNode {
    if (child === undefined) return this.append(element);
    return this.#insert(this.#indexOf(child) + 1, element);
  }

  /** Puts an element into the place of a child; undefined: adds it behind the last. */
  put(child: XmlNode | undefined, element: XmlElement): XmlNode {
    if (child === undefined) return this.append(element);
    const node = this.#made(element);
    this.#content[this.#indexOf(child)] = node;
    return node;
  }

  /** Removes a child, if there is one, with the line that it stands on. */
  remove(child: XmlNode | undefined): void {
    if (child === undefined) return;
    const at = this.#indexOf(child);
    const before = this.#content[at - 1];
    const blank = before !== undefined && !(before instanceof XmlNode) && isBlank(before);
    this.#content.splice(blank ? at - 1 : at, blank ? 2 : 1);
    if (this.#content.every((part) => !(part instanceof XmlNode) && isBlank(part))) this.#content.length = 0;
  }

  print(): string {
    const inner = this.#content.map((part) => part instanceof XmlNode ? part.print() : part.source).join("");
    if (this.#empty) return this.#tag ?? this.#startTag("/>");
    return (this.#tag ?? this.#startTag(">")) + inner + `</${this.name}>`;
  }

  #insert(at: number, element: XmlElement): XmlNode {
    const node = this.#made(element);
    const line = { source: "\n" + INDENT.repeat(this.#depth + 1), kind: "text" } as const;
    this.#content.splice(at, 0, line, node);
    if (at + 2 === this.#content.length) {
      this.#content.push({ source: "\n" + INDENT.repeat(this.#depth), kind: "text" });
    }
    this.#fill();
    return node;
  }

  /** It has something within by now. */
  #fill(): void {
    if (!this.#empty) return;
    this.#empty = false;
    this.#tag = undefined;
  }

  /** A node of this document for an element of the model's; one that was taken out of it is put back as it is. */
  #made(element: XmlElement): XmlNode {
    if (element instanceof XmlNode) return element;
    const indented = printXml(element).trimEnd().replaceAll("\n", "\n" + INDENT.repeat(this.#depth + 1));
    const { root } = XmlDocument.parse(indented, element.name, this.#depth + 1);
    return root;
  }

  #indexOf(child: XmlNode): number {
    const at = this.#content.indexOf(child);
    if (at < 0) throw new VirtxError("internal", `<${child.name}> is not in <${this.name}>`);
    return at;
  }

  #startTag(end: string): string {
    const attributes = [...this.#attributes].map(([name, value]) => ` ${name}="${escapeXml(value)}"`);
    return `<${this.name}${attributes.join("")}${end}`;
  }
}

function isBlank({ source, kind }: Characters): boolean {
  return kind === "text" && source.trim() === "";
}
