import type { CustomField, Disk, Net, Vmdef } from "./vm.ts";

/** A shape as it may arrive in JSON: fields may be missing or null (as Go writes an empty slice), at any depth. */
export type Loose<T> = T extends readonly (infer E)[] ? readonly Loose<E>[] | null | undefined
  : T extends object ? { readonly [K in keyof T]?: Loose<T[K]> | null | undefined } | null | undefined
  : T | null | undefined;

/**
 * Completes a definition from JSON, where what is missing has its zero value (protocol.md §1; the prototype's samples leave
 * out `numa`, `prov` and `size`), and spells MAC addresses and genid in lower case. A count of 0 in the CPU topology
 * means "unset": 1. Says nothing about validity.
 */
export function normaliseVmdef(loose: Loose<Vmdef>): Vmdef {
  const { cpudef } = loose ?? {};
  return {
    name: loose?.name ?? "",
    cpudef: {
      model: cpudef?.model ?? "",
      nodes: cpudef?.nodes || 1,
      sockets: cpudef?.sockets || 1,
      cores: cpudef?.cores || 1,
      threads: cpudef?.threads || 1,
    },
    memory: { total: loose?.memory?.total ?? 0, hp: loose?.memory?.hp ?? false },
    numa: { placement: loose?.numa?.placement ?? false },
    osdisk: normaliseDisk(loose?.osdisk),
    disks: loose?.disks?.map(normaliseDisk) ?? [],
    nets: loose?.nets?.map(normaliseNet) ?? [],
    vlanid: loose?.vlanid ?? 0,
    firmware: loose?.firmware ?? 0,
    genid: (loose?.genid ?? "").toLowerCase(),
    custom: loose?.custom?.map(normaliseField) ?? [],
  };
}

function normaliseDisk(loose: Loose<Disk>): Disk {
  return {
    path: loose?.path ?? "",
    device: loose?.device ?? 0,
    bus: loose?.bus ?? 0,
    man: loose?.man ?? 0,
    prov: loose?.prov ?? 0,
    size: loose?.size ?? 0,
  };
}

function normaliseNet(loose: Loose<Net>): Net {
  return {
    name: loose?.name ?? "",
    nettype: loose?.nettype ?? 0,
    model: loose?.model ?? 0,
    mac: (loose?.mac ?? "").toLowerCase(),
  };
}

function normaliseField(loose: Loose<CustomField>): CustomField {
  return { name: loose?.name ?? "", value: loose?.value ?? "" };
}
