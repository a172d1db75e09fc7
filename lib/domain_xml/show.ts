import { Firmware } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { unescapeXml } from "./element.ts";
import { type ParsedDomain, parseDomainXml } from "./parse.ts";
import { NO_DISK } from "./parse_devices.ts";
import { outlinedSummary } from "./summary.ts";

/**
 * What can be told of a definition, even if it cannot be read. Never fails. It is for showing the VM; what the definition is
 * needed for cannot be done with it.
 */
export function showDomain(uuid: string, xml: string): ParsedDomain {
  try {
    return parseDomainXml(xml);
  } catch (error) {
    if (error instanceof VirtxError) return glimpse(uuid, xml);
    throw error;
  }
}

/** By the indentation that libvirt prints, as far as that goes. */
function glimpse(uuid: string, xml: string): ParsedDomain {
  const text = (name: string) => {
    const [, found = ""] = new RegExp(`\\n {2}<${name}(?: [^<>]*)?>([^<]*)<`).exec(xml) ?? [];
    return unescapeXml(found, "kept");
  };
  const number = (name: string) => Math.trunc(Number(text(name)) || 0);
  return outline({
    uuid,
    name: text("title") || text("name") || uuid,
    vcpus: number("vcpu"),
    memoryMiB: Math.ceil(number("memory") / 1024),
  });
}

/** A domain of which no more than this is known. */
export function outline(o: { uuid: string; name: string; vcpus: number; memoryMiB: number }): ParsedDomain {
  const { uuid, name, vcpus } = outlinedSummary(o);
  return {
    uuid,
    def: {
      name,
      cpudef: { model: "", nodes: 1, sockets: vcpus, cores: 1, threads: 1 },
      memory: { total: Math.min(0x7fff_ffff, o.memoryMiB), hp: false },
      numa: { placement: false },
      osdisk: NO_DISK,
      disks: [],
      nets: [],
      vlanid: 0,
      firmware: Firmware.bios,
      genid: "",
      custom: [],
    },
    operations: [],
  };
}
