import { attribute, child, children, trimmedText } from "./element.ts";
import { readXml } from "./read.ts";

/** The host's firmware, as its SMBIOS tells; empty where it does not. */
export interface Sysinfo {
  readonly biosVersion: string;
  /** mm/dd/yyyy. */
  readonly biosDate: string;
}

/** Reads what virConnectGetSysinfo returns (libvirt's formatdomain, "SMBIOS System Information"). */
export function parseSysinfo(xml: string): Sysinfo {
  const bios = children(child(readXml(xml, "sysinfo"), "bios"), "entry");
  const entry = (name: string) =>
    trimmedText(bios.find((candidate) => attribute(candidate, "name") === name));
  return { biosVersion: entry("version"), biosDate: entry("date") };
}
