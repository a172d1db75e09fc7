import fc from "fast-check";
import { DiskBus, DiskDevice, Firmware, NetModel, NetType } from "../../lib/model/enums.ts";
import {
  CUSTOM_NAME_MAX,
  CUSTOM_VALUE_MAX,
  EXTRA_DISKS_MAX,
  HUGEPAGE_MIB,
  NAME_MAX,
  NETS_MAX,
  VLAN_MAX,
} from "../../lib/model/limits.ts";
import { nameProblem, textProblem } from "../../lib/model/rules.ts";
import type { Cpudef, CustomField, Disk, Net, Vmdef } from "../../lib/model/vm.ts";

/** Any of an enumeration's values. */
function anyOf<T extends number>(enumeration: Readonly<Record<string, T>>): fc.Arbitrary<T> {
  return fc.constantFrom(...Object.values(enumeration));
}

/** Text that shows what escaping gets wrong: markup, quotes, astral characters, spaces at the ends. */
function text(maxLength: number): fc.Arbitrary<string> {
  const unit = fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
    fc.constantFrom(..."<>&'\"]= \u00a0;#x😀é"),
    fc.constantFrom("&amp;", "]]>", "<!--", "&#10;"),
  );
  return fc.array(unit, { maxLength: Math.min(maxLength, 40) }).map((units) => units.join(""))
    .filter((value) => textProblem(value, maxLength) === undefined);
}

export const anyName = text(NAME_MAX).filter((value) => nameProblem(value, NAME_MAX) === undefined);

const anyCpudef: fc.Arbitrary<Cpudef> = fc.record({
  model: fc.constantFrom("host-model", "host-passthrough", "maximum", "qemu64", "Westmere", "EPYC-Rome"),
  nodes: fc.integer({ min: 1, max: 4 }),
  sockets: fc.integer({ min: 1, max: 8 }),
  cores: fc.integer({ min: 1, max: 8 }),
  threads: fc.constant(1),
});

const anyFileName = fc.string({
  unit: fc.constantFrom(..."abcXYZ019-_ &'<\"ü"),
  minLength: 1,
  maxLength: 12,
});

/** A path below /vms/ds, outside virtxd's own /vms/ds/ci. */
function imagePath(extension: string): fc.Arbitrary<string> {
  return fc.tuple(fc.array(anyFileName, { maxLength: 2 }), anyFileName)
    .filter(([[first]]) => first !== "ci")
    .map(([directories, file]) => ["/vms/ds", ...directories, `${file}.${extension}`].join("/"));
}

const anyDisk: fc.Arbitrary<Disk> = fc.oneof(
  // Provisioned, or there already.
  fc.record({
    path: fc.oneof(imagePath("qcow2"), imagePath("raw")),
    device: fc.constant(DiskDevice.disk),
    bus: anyOf(DiskBus),
    provisioning: fc.constantFrom([0, 0], [1, 0], [1, 1], [1, 2]) as fc.Arbitrary<[0 | 1, 0 | 1 | 2]>,
  }),
  fc.record({
    path: imagePath("iso"),
    device: fc.constant(DiskDevice.cdrom),
    bus: fc.constantFrom(DiskBus.virtioScsi, DiskBus.sata, DiskBus.scsi),
    provisioning: fc.constant([0, 0] as [0, 0]),
  }),
  fc.record({
    path: anyFileName.map((name) => `/dev/disk/by-id/${name}`),
    device: fc.constant(DiskDevice.lun),
    bus: fc.constantFrom(DiskBus.virtioScsi, DiskBus.scsi),
    provisioning: fc.constantFrom([0, 0], [1, 0]) as fc.Arbitrary<[0 | 1, 0]>,
  }),
  fc.record({
    path: anyFileName.map((name) => `/dev/mapper/${name}`),
    device: fc.constant(DiskDevice.disk),
    bus: anyOf(DiskBus),
    provisioning: fc.constantFrom([0, 0], [1, 0]) as fc.Arbitrary<[0 | 1, 0]>,
  }),
).map(({ path, device, bus, provisioning: [man, prov] }) => ({ path, device, bus, man, prov, size: 0 }));

const anyMac = fc.integer({ min: 1, max: 2 ** 24 - 1 })
  .map((value) => `52:54:00:${value.toString(16).padStart(6, "0").replace(/(..)(..)(..)/, "$1:$2:$3")}`);

const anyNet: fc.Arbitrary<Net> = fc.oneof(
  fc.record({
    name: anyName.filter((name) => !name.includes("/") && name !== "." && name !== ".."),
    nettype: fc.constant(NetType.network),
    model: anyOf(NetModel),
    mac: anyMac,
  }),
  fc.record({
    name: fc.stringMatching(/^[a-z][a-z0-9.-]{0,14}$/),
    nettype: fc.constant(NetType.bridge),
    model: anyOf(NetModel),
    mac: anyMac,
  }),
);

const anyCustomField: fc.Arbitrary<CustomField> = fc.record({
  name: text(CUSTOM_NAME_MAX).filter((name) => nameProblem(name, CUSTOM_NAME_MAX) === undefined),
  value: text(CUSTOM_VALUE_MAX),
});

/**
 * Valid definitions that name everything themselves: disk sizes are 0, MAC addresses and genid are never libvirt's to choose; so
 * each is the same after a round trip through XML.
 */
export const anyVmdef: fc.Arbitrary<Vmdef> = fc.record({
  name: anyName,
  cpudef: anyCpudef,
  memoryUnits: fc.integer({ min: 1, max: 1000 }),
  hp: fc.boolean(),
  placement: fc.boolean(),
  allDisks: fc.uniqueArray(anyDisk, {
    minLength: 1,
    maxLength: EXTRA_DISKS_MAX + 1,
    selector: (disk) => disk.path,
  }),
  nets: fc.uniqueArray(anyNet, { maxLength: NETS_MAX, selector: (net) => net.mac }),
  vlanid: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: VLAN_MAX })),
  firmware: anyOf(Firmware),
  genid: fc.oneof(fc.constant(""), fc.uuid()),
  custom: fc.uniqueArray(anyCustomField, { maxLength: 5, selector: (field) => field.name }),
}).map(({ memoryUnits, hp, placement, allDisks, ...rest }) => {
  const [osdisk, ...disks] = allDisks;
  if (osdisk === undefined) throw new Error("fast-check made fewer disks than asked");
  const total = memoryUnits * rest.cpudef.nodes * HUGEPAGE_MIB;
  // A copy, since fast-check's records have no prototype, which deepEqual would see.
  return structuredClone({ ...rest, memory: { total, hp }, numa: { placement }, osdisk, disks });
});
