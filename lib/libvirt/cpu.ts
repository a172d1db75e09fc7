import { VirtxError } from "../model/error.ts";
import type { Connection } from "./connection.ts";
import { CompareCpuFlag, CpuCompareResult, ErrorCode } from "./constants.ts";
import { cString, optionalCString } from "./memory.ts";
import type { GuestKind } from "./node.ts";

/** What a host's processor is to guests, compared with another: the same, more than that, or not enough. */
export type CpuComparison =
  | { readonly verdict: "identical" | "superset" }
  /** The reason is libvirt's, and names the features that lack. */
  | { readonly verdict: "incompatible"; readonly reason: string };

/**
 * virConnectCompareHypervisorCPU: compares what guests of this kind can have on this host with a `<cpu>` element, a
 * host's or a guest's. One that names no model ("maximum", "host-model" and "host-passthrough" do not) demands nothing: it
 * is "superset" of everything.
 */
export async function compareCpu(
  connection: Connection,
  cpuXml: string,
  guest: GuestKind,
): Promise<CpuComparison> {
  const { libvirt } = connection;
  const emulator = optionalCString(guest.emulator);
  const arch = optionalCString(guest.arch);
  const machine = optionalCString(guest.machine);
  const virttype = optionalCString(guest.virttype);
  const cpu = cString(cpuXml);
  const { failIncompatible } = CompareCpuFlag;
  try {
    const result = await connection.int((c) =>
      libvirt.virConnectCompareHypervisorCPU(c, emulator, arch, machine, virttype, cpu, failIncompatible)
    );
    return { verdict: result === CpuCompareResult.identical ? "identical" : "superset" };
  } catch (error) {
    if (error instanceof VirtxError && error.libvirt?.code === ErrorCode.cpuIncompatible) {
      return { verdict: "incompatible", reason: error.libvirt.message };
    }
    throw error;
  }
}
