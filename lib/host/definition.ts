import { type DomainSummary, outlinedSummary, parseSummary, showDomain } from "../domain_xml/mod.ts";
import type { DomainGlimpse } from "../libvirt/domain.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import { vcpus } from "../model/vm.ts";

/** What a definition says about a VM's figures. */
export interface DomainHardware {
  /** MiB. */
  readonly memoryMiB: number;
  /** Memory is backed by hugepages. */
  readonly hugepages: boolean;
  /** Target names (sda) of removable media, which do not count as its disks. */
  readonly removable: ReadonlySet<string>;
}

/** A domain's inactive XML, as libvirt prints it, and what the monitor needs to know of it. */
export interface Definition {
  /** Undefined: libvirt does not tell it now; then the rest is what can be told nevertheless. */
  readonly xml: string | undefined;
  readonly summary: DomainSummary;
  readonly hardware: DomainHardware;
  /** Why it cannot be read, or not in full; undefined: it can. Then the rest is what can be told nevertheless. */
  readonly flaw: string | undefined;
}

/** Never fails: a definition that nobody can read is that of a VM all the same. */
export function readDefinition(xml: string, uuid = ""): Definition {
  const hardware = readHardware(xml);
  try {
    return { xml, summary: parseSummary(xml), hardware, flaw: undefined };
  } catch (error) {
    if (!(error instanceof VirtxError)) throw error;
    const { def: { name, vlanid, custom, cpudef } } = showDomain(uuid, xml);
    const summary = { uuid, name, vlanid, custom, vcpus: vcpus(cpudef) };
    return { xml, summary, hardware, flaw: errorMessage(error) };
  }
}

/** Stands for a definition that libvirt does not tell now. It may have any disks; nothing is to be concluded from those it lacks. */
export function withheldDefinition(uuid: string, { name, vcpus, memoryKiB }: DomainGlimpse): Definition {
  return {
    xml: undefined,
    summary: outlinedSummary({ uuid, name, vcpus }),
    hardware: { memoryMiB: Math.trunc(memoryKiB / 1024), hugepages: false, removable: NO_TARGETS },
    flaw: undefined,
  };
}

const NO_TARGETS: ReadonlySet<string> = new Set();

/**
 * Goes by the indentation that libvirt prints, two spaces before each top-level element, so that nothing deeper
 * (metadata may hold anything) is taken for it. A thousand definitions take a few milliseconds; a parser would take
 * a second.
 */
export function readHardware(xml: string): DomainHardware {
  const devices = xml.slice(Math.max(0, xml.indexOf("\n  <devices>")));
  const media = devices.matchAll(
    /<disk type='[a-z]+' device='(?:cdrom|floppy)'[^]*?<target dev='([^']+)'/g,
  );
  const removable = new Set(Array.from(media, ([, target = ""]) => target));
  return {
    memoryMiB: Math.trunc(Number(/\n {2}<memory unit='KiB'>([0-9]+)</.exec(xml)?.[1] ?? 0) / 1024),
    hugepages: /\n {2}<memoryBacking>\n {4}<hugepages[/>]/.test(xml),
    removable: removable.size > 0 ? removable : NO_TARGETS,
  };
}
