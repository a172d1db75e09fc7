import { IMAGES_ROOT, isBelow, LOCAL_VARIABLES_ROOT, SHARED_ROOT, VARIABLES_ROOT } from "../model/paths.ts";
import { pathProblem } from "../model/rules.ts";
import { attribute, trimmedText, type XmlElement } from "./element.ts";
import { readXml } from "./read.ts";

/** What a definition may reach on this host. */
export interface Reach {
  /** The programs that libvirt here runs guests with. */
  readonly emulators: readonly string[];
  /** Whether guests may have this block device. */
  readonly allowsDevice: (path: string) => boolean;
}

/**
 * What in a definition reaches for something of the host that guests are not given: programs, devices, and files outside the
 * places that guests share. Whoever can write to the shared storage could make a host run it as root, so a definition that comes
 * from there is taken as a whole, or refused for these. It is a list of what is allowed: a path that this module knows nothing
 * of is refused, wherever it stands.
 *
 * @returns one line for each, with the element's name; equal for equal elements
 * @throws VirtxError `internal` if the document is not well-formed or no `<domain>`
 */
export function reachesOut(xml: string, reach: Reach): readonly string[] {
  const domain = readXml(xml, "domain");
  return domain.children.filter(({ name }) => !TEXTS.includes(name))
    .flatMap((element) => [...reachesOf(element, [domain], reach)]);
}

/** Texts that libvirt only keeps. */
const TEXTS = ["name", "title", "description", "metadata"];

/** Devices of the host, or what names none and has one all the same. */
const HOST_ELEMENTS = ["hostdev", "filesystem", "launchSecurity", "redirdev"];
/** Kinds of an element that reach nothing of the host by themselves; the paths that they name are looked at all the same. */
const HARMLESS_TYPES: Readonly<Record<string, readonly string[]>> = {
  disk: ["file", "block", "network"],
  interface: ["network", "bridge", "user"],
  backingStore: ["file", "block", "network"],
  mirror: ["file", "block", "network"],
};
/** Attributes of a source that are paths, whatever they begin with. */
const PATHS = ["file", "dir", "path"];
/** Where distributions have firmware. */
const FIRMWARE_ROOTS = [
  "/usr/share/OVMF",
  "/usr/share/AAVMF",
  "/usr/share/edk2",
  "/usr/share/qemu",
  "/usr/share/seabios",
];
const VARIABLES_ROOTS = [VARIABLES_ROOT, LOCAL_VARIABLES_ROOT];
const RANDOM = ["/dev/urandom", "/dev/random"];

function* reachesOf(of: XmlElement, ancestors: readonly XmlElement[], reach: Reach): Generator<string> {
  const { name } = of;
  const type = attribute(of, "type");
  if (name.includes(":") || of.attributes.has("xmlns")) return yield `<${name}> is not libvirt's own`;
  if (HOST_ELEMENTS.includes(name)) return yield `<${name}> is of the host`;
  const harmless = HARMLESS_TYPES[name];
  if (harmless && type !== undefined && !harmless.includes(type)) {
    yield `<${name} type="${type}"> is of the host`;
  }
  if (name === "backend" && type === "passthrough") yield `<backend type="passthrough"> is of the host`;
  if (name === "smartcard" && attribute(of, "mode") !== "passthrough") yield `<smartcard> is of the host`;
  if (name === "seclabel" && (type !== "dynamic" || of.children.some(({ name }) => name === "baselabel"))) {
    yield "<seclabel> is the host's to give";
  }
  for (const [key, value] of of.attributes) {
    if (!namesPath(of, ancestors, key, value) || isAllowed(value, of, ancestors, reach, key)) continue;
    yield `<${name} ${key}=${JSON.stringify(value)}> is not for guests`;
  }
  const text = trimmedText(of);
  if (text.startsWith("/") && !isAllowed(text, of, ancestors, reach)) {
    yield `<${name}> ${JSON.stringify(text)} is not for guests`;
  }
  for (const inner of of.children) yield* reachesOf(inner, [...ancestors, of], reach);
}

/** Whether an attribute is a path: by its first character, or by where it stands. */
function namesPath(of: XmlElement, ancestors: readonly XmlElement[], key: string, value: string): boolean {
  if (value.startsWith("/")) return true;
  if (of.name !== "source" || value === "") return false;
  const holder = ancestors.at(-1)?.name ?? "";
  return PATHS.includes(key) || (key === "dev" && holder !== "interface");
}

function isAllowed(
  path: string,
  of: XmlElement,
  ancestors: readonly XmlElement[],
  reach: Reach,
  key?: string,
): boolean {
  if (of.name === "partition") return true; // of control groups
  if (pathProblem(path) !== undefined) return false;
  if (of.name === "emulator") return reach.emulators.includes(path);
  if (of.name === "loader" || key === "template") return FIRMWARE_ROOTS.some((root) => isBelow(path, root));
  const within = [...ancestors, of].map(({ name }) => name);
  if (within.includes("nvram")) return VARIABLES_ROOTS.some((root) => isBelow(path, root));
  if (within.includes("rng")) return RANDOM.includes(path);
  if (within.includes("lease")) return isBelow(path, `${SHARED_ROOT}/lock`);
  if (!within.includes("disk")) return isTerminal(path, of, ancestors);
  if (isBelow(path, "/dev")) return reach.allowsDevice(path);
  return isBelow(path, IMAGES_ROOT);
}

/** libvirt tells which terminal a console had last; it takes another one next time. */
function isTerminal(path: string, of: XmlElement, ancestors: readonly XmlElement[]): boolean {
  const device = of.name === "source" ? ancestors.at(-1) : of;
  return attribute(device, "type") === "pty" && /^\/dev\/pts\/[0-9]{1,7}$/.test(path);
}
