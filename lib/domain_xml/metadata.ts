import { type Operation, type OperationStatus, RECORDED_OPERATIONS } from "../model/operation.ts";
import type { CustomField } from "../model/vm.ts";
import { attribute, child, element, namespaceOf, printXml, trimmedText } from "./element.ts";
import type { XmlElement } from "./element.ts";

/** Namespace of `data-vm`, the custom fields (protocol.md §4). */
export const VM_NAMESPACE = "virtx-vm";

/** Namespaces of `data-op`, one for each kind of operation: libvirt keeps one metadata element for each namespace. */
export const OPERATION_NAMESPACE_PREFIX = "virtx-op-";

/** Namespace of `data-asked`, virtxd's own. */
export const ASKED_NAMESPACE = "virtxd-asked";

/**
 * What the owner asked for and this host's XML cannot say: a CPU model that had to be replaced, a genid that the
 * machine has not, a VLAN without an interface to carry it. It counts only where the XML itself is silent.
 */
export interface Asked {
  readonly cpuModel?: string;
  readonly genid?: string;
  readonly vlanid?: number;
}

/** The `<metadata>` of a definition, with the records of what was done to its VM before. */
export function metadataElement(
  custom: readonly CustomField[],
  asked: Asked,
  operations: readonly Operation[],
): XmlElement {
  return element(
    "metadata",
    {},
    customElement(custom),
    askedElement(asked),
    operations.map((op) => operationElement(op, { xmlns: namespaceOfOperation(op) })),
  );
}

function customElement(custom: readonly CustomField[]): XmlElement {
  return element(
    "data-vm",
    { xmlns: VM_NAMESPACE },
    custom.map(({ name, value }) => element("field", { name }, value)),
  );
}

function askedElement({ cpuModel, genid, vlanid }: Asked): XmlElement | undefined {
  if (cpuModel === undefined && genid === undefined && vlanid === undefined) return undefined;
  return element("data-asked", { xmlns: ASKED_NAMESPACE, cpu: cpuModel, genid, vlanid });
}

/** An operation's record, as virDomainSetMetadata wants it (VIR_DOMAIN_METADATA_ELEMENT): `uri` and `key` name its place. */
export function operationMetadata(op: Operation): { uri: string; key: string; xml: string } {
  const uri = namespaceOfOperation(op);
  return { uri, key: uri, xml: printXml(operationElement(op, {})) };
}

function namespaceOfOperation(op: Operation): string {
  return OPERATION_NAMESPACE_PREFIX + op.op;
}

function operationElement(op: Operation, attributes: Readonly<Record<string, string>>): XmlElement {
  return element(
    "data-op",
    attributes,
    element("op", {}, op.op),
    element("ts", {}, op.ts),
    element("te", {}, op.te),
    element("status", {}, op.status),
    element("msg", {}, op.msg),
  );
}

/** What virtxd finds in a domain's metadata. */
export interface Metadata {
  readonly custom: readonly CustomField[];
  readonly operations: readonly Operation[];
  readonly asked: XmlElement | undefined;
}

/** Reads the metadata of a `<domain>`. Elements of others, and what is malformed in ours, are passed over. */
export function readMetadata(domain: XmlElement): Metadata {
  const metadata = child(domain, "metadata");
  let custom: readonly CustomField[] = [];
  let asked: XmlElement | undefined;
  const operations: Operation[] = [];
  for (const entry of metadata?.children ?? []) {
    const { local, uri } = namespaceOf(entry, metadata === undefined ? [domain] : [domain, metadata]);
    if (local === "data-vm" && uri === VM_NAMESPACE) custom = readCustom(entry);
    else if (local === "data-asked" && uri === ASKED_NAMESPACE) asked = entry;
    else if (local === "data-op" && uri.startsWith(OPERATION_NAMESPACE_PREFIX)) {
      operations.push(...readOperation(entry));
    }
  }
  return { custom, operations, asked };
}

function readCustom(entry: XmlElement): readonly CustomField[] {
  return localChildren(entry, "field").map((field) => ({
    name: attribute(field, "name") ?? "",
    value: field.text,
  }));
}

const STATUSES: readonly OperationStatus[] = ["started", "failed", "completed"];

function readOperation(entry: XmlElement): readonly Operation[] {
  const field = (name: string) => localChildren(entry, name)[0];
  const op = RECORDED_OPERATIONS.find((known) => known === trimmedText(field("op")));
  const status = STATUSES.find((known) => known === trimmedText(field("status")));
  const ts = Number(trimmedText(field("ts")));
  const te = Number(trimmedText(field("te")));
  if (op === undefined || status === undefined || !Number.isSafeInteger(ts) || !Number.isSafeInteger(te)) {
    return [];
  }
  return [{ op, ts, te, status, msg: field("msg")?.text ?? "" }];
}

/** Children by name without prefix: libvirt gives a prefix to the elements that virDomainSetMetadata stores. */
function localChildren(of: XmlElement, local: string): readonly XmlElement[] {
  return of.children.filter(({ name }) => name.slice(name.indexOf(":") + 1) === local);
}
