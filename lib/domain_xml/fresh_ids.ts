import { XmlDocument } from "./document.ts";
import { child, element, trimmedText } from "./element.ts";
import { readXml } from "./read.ts";
import { variablesFile, withVariablesFile } from "./variables.ts";

/** What two VMs of a cluster must not both have. */
export interface DomainIds {
  /** Lower case; undefined: the document leaves it to libvirt. */
  readonly uuid: string | undefined;
  /** Its name in libvirt. */
  readonly name: string;
  readonly title: string;
  /** MAC addresses, lower case. */
  readonly macs: readonly string[];
  /** Lower case; undefined: none, or one that libvirt makes. */
  readonly genid: string | undefined;
}

/** @throws VirtxError `internal` if the document is not well-formed or no `<domain>` */
export function domainIds(xml: string): DomainIds {
  const domain = readXml(xml, "domain", "kept");
  const text = (name: string) => trimmedText(child(domain, name)).toLowerCase() || undefined;
  const interfaces = child(domain, "devices")?.children.filter(({ name }) => name === "interface") ?? [];
  return {
    uuid: text("uuid"),
    name: trimmedText(child(domain, "name")),
    title: child(domain, "title")?.text ?? "",
    macs: interfaces.flatMap((device) =>
      child(device, "mac")?.attributes.get("address")?.toLowerCase() ?? []
    ),
    genid: text("genid"),
  };
}

/** The same definition with that UUID, which it may lack. */
export function withUuid(xml: string, uuid: string): string {
  const document = XmlDocument.parse(xml, "domain");
  const { root } = document;
  const old = root.child("uuid");
  if (old) old.setText(uuid);
  else root.insertAfter(root.child("name"), element("uuid", {}, uuid));
  return document.print();
}

/**
 * The definition of another VM with the same hardware: with that UUID, by which libvirt calls it then, as those that virtxd makes;
 * its name becomes the title. libvirt gives MAC addresses and a generation id; UEFI variables are to be in that file.
 */
export function withFreshIds(xml: string, uuid: string, variables: string): string {
  const document = XmlDocument.parse(withUuid(xml, uuid), "domain");
  const { root } = document;
  const name = root.child("name");
  if (!root.child("title")) {
    root.insertAfter(root.child("genid") ?? root.child("uuid"), element("title", {}, trimmedText(name)));
  }
  name?.setText(uuid);
  if (root.child("genid")) root.put(root.child("genid"), element("genid"));
  for (const device of root.child("devices")?.children ?? []) {
    if (device.name === "interface") device.remove(device.child("mac"));
  }
  const fresh = document.print();
  return variablesFile(fresh) === undefined ? fresh : withVariablesFile(fresh, variables);
}
