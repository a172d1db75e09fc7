import type { CustomField } from "../model/vm.ts";
import { attribute, child, children, descend, integer, trimmedText, type XmlElement } from "./element.ts";
import { type Metadata, readMetadata } from "./metadata.ts";
import { type Parts, readParts } from "./read_parts.ts";

/** What the inventory keeps of a definition. */
export interface DomainSummary {
  readonly uuid: string;
  readonly name: string;
  readonly vlanid: number;
  readonly custom: readonly CustomField[];
  readonly vcpus: number;
}

const SUMMARY_PARTS: Parts = new Map<string, Parts>([
  ["name", "all"],
  ["uuid", "all"],
  ["title", "all"],
  ["vcpu", "all"],
  ["metadata", "all"],
  ["devices", new Map<string, Parts>([["interface", new Map<string, Parts>([["vlan", "all"]])]])],
]);

/**
 * The summary alone, for many domains at once: what {@link parseDomainXml} would say, some ten times faster.
 *
 * @throws VirtxError `internal` if the document is not well-formed or no `<domain>`.
 */
export function parseSummary(xml: string): DomainSummary {
  const domain = readParts(xml, "domain", SUMMARY_PARTS);
  return summarise(domain, readMetadata(domain));
}

/** The summary of a `<domain>`, whole or reduced. */
export function summarise(domain: XmlElement, metadata: Metadata): DomainSummary {
  return {
    uuid: trimmedText(child(domain, "uuid")),
    name: child(domain, "title")?.text || trimmedText(child(domain, "name")),
    vlanid: vlanId(domain) ?? integer(attribute(metadata.asked, "vlanid")) ?? 0,
    custom: metadata.custom,
    vcpus: integer(trimmedText(child(domain, "vcpu"))) ?? 1,
  };
}

/** The first tag of the first interface that has any: ours all have the same. */
function vlanId(domain: XmlElement): number | undefined {
  const tags = children(child(domain, "devices"), "interface").map((entry) => descend(entry, "vlan", "tag"));
  return integer(attribute(tags.find((tag) => tag !== undefined), "id"));
}
