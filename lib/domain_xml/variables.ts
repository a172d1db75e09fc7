import { LOCAL_VARIABLES_ROOT } from "../model/paths.ts";
import { XmlDocument } from "./document.ts";
import { attribute, child, element, trimmedText, type XmlElement } from "./element.ts";
import { readXml } from "./read.ts";

/**
 * The file that a domain's UEFI variables are in; undefined: it has none, or not in a file. libvirt before 9.2 does not say it in
 * an inactive definition if it is where libvirt has it by itself.
 *
 * @throws VirtxError `internal` if the document is not well-formed or no `<domain>`
 */
export function variablesFile(xml: string): string | undefined {
  return variablesFileOf(readXml(xml, "domain", "kept"));
}

/** The same of a document that has been read. */
export function variablesFileOf(domain: XmlElement): string | undefined {
  const os = child(domain, "os");
  const loader = child(os, "loader");
  const isFlash = attribute(os, "firmware") === "efi" || attribute(loader, "type") === "pflash";
  const nvram = child(os, "nvram");
  if ((!isFlash && !nvram) || attribute(loader, "stateless") === "yes") return undefined;
  const source = child(nvram, "source");
  if (source !== undefined) return attribute(source, "file");
  return trimmedText(nvram) || `${LOCAL_VARIABLES_ROOT}/${trimmedText(child(domain, "name"))}_VARS.fd`;
}

/** The definition with its variables in that file, and all else as it is. */
export function withVariablesFile(xml: string, path: string): string {
  const document = XmlDocument.parse(xml, "domain");
  const os = document.root.child("os");
  const nvram = os?.child("nvram");
  const source = nvram?.child("source");
  if (source) source.set("file", path);
  else if (nvram) nvram.setText(path);
  else {os?.insertAfter(
      os.child("loader") ?? os.child("firmware") ?? os.child("type"),
      element("nvram", {}, path),
    );}
  return document.print();
}
