import { attribute, child } from "./element.ts";
import { type Parts, readParts } from "./read_parts.ts";

const PARTS: Parts = new Map<string, Parts>([
  ["devices", new Map<string, Parts>([["console", "all"], ["serial", "all"], ["parallel", "all"]])],
]);

/**
 * Whether virDomainOpenConsole finds what it can open: a console or serial device on a pseudo-terminal.
 *
 * @throws VirtxError `internal` if the document is not well-formed or no `<domain>`.
 */
export function hasConsole(xml: string): boolean {
  const devices = child(readParts(xml, "domain", PARTS), "devices");
  return devices?.children.some((device) => attribute(device, "type") === "pty") ?? false;
}
