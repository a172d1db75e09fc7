import { XmlDocument, type XmlNode } from "./document.ts";
import { attribute, children } from "./element.ts";
import { readXml } from "./read.ts";
import { UnreadableXml } from "./unreadable_xml.ts";

/** Stands where a password was. By itself it opens nothing: the moment until which it holds has passed. */
const WITHHELD = { passwd: "withheld", passwdValidTo: "1970-01-01T00:00:01" } as const;

/**
 * A definition as libvirt prints it with VIR_DOMAIN_XML_SECURE, without what that adds: passwords of screens, and cookies of disks
 * that are read over HTTP. libvirt by itself leaves a password out without a trace, and whoever defined such a document elsewhere
 * had a screen that is open to all. So here a screen with a password has one still, which has expired: QEMU lets nobody in by it,
 * whichever program defines the document.
 *
 * @returns undefined: the document cannot be read
 */
export function withholdSecrets(xml: string): string | undefined {
  if (!/ passwd=|<cookies[ >]/.test(xml)) return xml;
  try {
    const document = XmlDocument.parse(xml, "domain");
    for (const device of document.root.child("devices")?.children ?? []) {
      if (device.name === "graphics" && device.attributes.has("passwd")) {
        device.set("passwd", WITHHELD.passwd);
        device.set("passwdValidTo", WITHHELD.passwdValidTo);
      }
      if (device.name === "disk") removeCookies(device);
    }
    return document.print();
  } catch (error) {
    if (error instanceof UnreadableXml) return undefined;
    throw error;
  }
}

/** Sources have them, those of the images behind an image too. */
function removeCookies(node: XmlNode): void {
  if (node.name === "source") node.remove(node.child("cookies"));
  for (const inner of node.children) removeCookies(inner);
}

/**
 * The kinds of screens ("vnc") whose password a definition lacks.
 * @throws VirtxError `internal` if the document is not well-formed or no `<domain>`
 */
export function lockedScreens(xml: string): readonly string[] {
  if (!xml.includes(WITHHELD.passwdValidTo)) return [];
  const devices = readXml(xml, "domain", "kept").children.find(({ name }) => name === "devices");
  return children(devices, "graphics")
    .filter((screen) => attribute(screen, "passwdValidTo") === WITHHELD.passwdValidTo)
    .map((screen) => attribute(screen, "type") ?? "");
}

/** That the screens of a VM let nobody in, and what helps; undefined: there are none such. */
export function lockedScreensWarning(vm: string, xml: string): string | undefined {
  const [first] = lockedScreens(xml);
  if (first === undefined) return undefined;
  return `the password of its ${first.toUpperCase()} screen is not kept on shared storage: the screen lets nobody in until ` +
    `virsh edit ${vm} sets a new passwd without passwdValidTo`;
}
