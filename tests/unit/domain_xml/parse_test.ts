import assert from "node:assert/strict";
import { parseDomainXml } from "../../../lib/domain_xml/mod.ts";
import { DiskBus, DiskDevice, Firmware, NetModel, NetType } from "../../../lib/model/enums.ts";
import type { Vmdef } from "../../../lib/model/vm.ts";
import { fixture } from "../../support/fixtures.ts";
import { disk, SMALL_VMDEF } from "../../support/vmdef_examples.ts";

/** What was defined to make the dumps; libvirt chose the second MAC address and the genid. */
const WEB: Vmdef = {
  ...SMALL_VMDEF,
  name: "web <1> & 'co' \"x\"",
  cpudef: { model: "host-passthrough", nodes: 2, sockets: 1, cores: 2, threads: 1 },
  osdisk: disk("/vms/ds/web/os.qcow2", { man: 1, prov: 1 }),
  disks: [
    disk("/vms/ds/web/data.raw", { bus: DiskBus.virtioScsi, man: 1, prov: 2 }),
    disk("/vms/ds/install.iso", { device: DiskDevice.cdrom, bus: DiskBus.sata }),
    disk("/vms/ds/web/old.qcow2", { bus: DiskBus.scsi }),
    disk("/vms/ds/web/log.qcow2", { man: 1 }),
    disk("/vms/ds/web/tmp.qcow2", { bus: DiskBus.sata, man: 1, prov: 1 }),
    disk("/vms/ds/tools.iso", { device: DiskDevice.cdrom, bus: DiskBus.virtioScsi }),
  ],
  custom: [
    { name: "owner", value: " R&D <lab> 😀 " },
    { name: "blank", value: "  " },
    { name: "empty", value: "" },
  ],
};

const OPERATIONS = [
  {
    op: "VmBoot",
    ts: 1781000000000,
    te: 1781000001234,
    status: "failed",
    msg: "Cannot boot VM \"web <1>\": R&D said 'no' 😀",
  },
  { op: "VmPause", ts: 1781000002000, te: 0, status: "started", msg: "" },
];

const FIRMWARE = { bios: Firmware.bios, uefi: Firmware.uefi };

for (const [firmware, uuid] of [["bios", "…11"], ["uefi", "…12"]] as const) {
  for (const kind of ["inactive", "live", "migratable"]) {
    Deno.test(`libvirt 9.0's ${kind} XML of a ${firmware} guest tells its definition and operations`, () => {
      const parsed = parseDomainXml(fixture(`domain_xml/libvirt-9.0/${firmware}-${kind}.xml`));
      const [given, chosen] = parsed.def.nets;
      assert.deepEqual(parsed, {
        uuid: uuid.replace("…", "6b1f9bfe-6e3e-4f0e-9f3e-0000000000"),
        def: {
          ...WEB,
          firmware: FIRMWARE[firmware],
          genid: parsed.def.genid,
          nets: [given, chosen],
        },
        operations: OPERATIONS,
      });
      assert.match(parsed.def.genid, /^[0-9a-f-]{36}$/);
      const bridge = { name: "br0", nettype: NetType.bridge };
      assert.deepEqual(given, { ...bridge, model: NetModel.virtio, mac: "52:54:00:10:00:01" });
      assert.deepEqual(chosen, { ...bridge, model: NetModel.e1000e, mac: chosen?.mac });
      assert.match(chosen?.mac ?? "", /^52:54:00(:[0-9a-f]{2}){3}$/);
    });
  }
}

Deno.test("a domain that virtxd did not define is told as well as the model can", () => {
  assert.deepEqual(parseDomainXml(fixture("domain_xml/libvirt-9.0/foreign.xml")), {
    uuid: "0c3e3a4e-55d0-4f4e-8a55-0f8f2f6f3a11",
    def: {
      name: "legacy",
      cpudef: { model: "Westmere", nodes: 1, sockets: 6, cores: 1, threads: 1 },
      memory: { total: 513, hp: false },
      numa: { placement: false },
      osdisk: disk("/srv/legacy.qcow2", { bus: DiskBus.sata }),
      disks: [
        disk("", { device: DiskDevice.cdrom, bus: DiskBus.sata }),
        disk("rbd:pool/image"),
        disk("/dev/vg0/data", { bus: DiskBus.sata }),
      ],
      nets: [
        { name: "user:", nettype: NetType.bridge, model: NetModel.e1000, mac: "52:54:00:aa:bb:01" },
        { name: "direct:eth0", nettype: NetType.bridge, model: NetModel.e1000e, mac: "52:54:00:aa:bb:02" },
        { name: "ovsbr0", nettype: NetType.bridge, model: NetModel.virtio, mac: "52:54:00:aa:bb:03" },
      ],
      vlanid: 12,
      firmware: Firmware.bios,
      genid: "",
      custom: [],
    },
    operations: [],
  });
});

Deno.test("a domain with next to nothing in it is told without failing", () => {
  const { def } = parseDomainXml("<domain><name> x </name></domain>");
  assert.deepEqual(def, {
    ...SMALL_VMDEF,
    name: "x",
    cpudef: { model: "", nodes: 1, sockets: 1, cores: 1, threads: 1 },
    memory: { total: 0, hp: false },
    osdisk: disk(""),
  });
});

Deno.test("firmware is known by the loader where the attribute is missing", () => {
  const firmware = (os: string) => parseDomainXml(`<domain><os>${os}</os></domain>`).def.firmware;
  assert.equal(firmware("<loader readonly='yes' type='pflash'>/x.fd</loader>"), Firmware.uefi);
  assert.equal(firmware("<nvram>/x.fd</nvram>"), Firmware.uefi);
  assert.equal(firmware("<loader type='rom'>/x.bin</loader>"), Firmware.bios);
  assert.equal(firmware("<type arch='aarch64'>hvm</type>"), Firmware.uefi);
  assert.equal(firmware("<type arch='x86_64'>hvm</type><bios useserial='no'/>"), Firmware.bios);
});

Deno.test("memory in any unit is told in MiB, rounded up", () => {
  const total = (memory: string) => parseDomainXml(`<domain>${memory}</domain>`).def.memory.total;
  assert.equal(total("<memory>1048576</memory>"), 1024);
  assert.equal(total("<memory unit='KiB'>1025</memory>"), 2);
  assert.equal(total("<memory unit='GiB'>2</memory>"), 2048);
  assert.equal(total("<memory unit='b'>1048577</memory>"), 2);
  assert.equal(total("<memory unit='KiB'>much</memory>"), 0);
});

Deno.test("a topology that does not account for all CPUs gives way to their number", () => {
  const cpudef = (inner: string) => parseDomainXml(`<domain>${inner}</domain>`).def.cpudef;
  const topology = "<cpu mode='maximum'><topology sockets='2' dies='1' cores='2' threads='1'/></cpu>";
  assert.deepEqual(cpudef(`<vcpu>4</vcpu>${topology}`), {
    model: "maximum",
    nodes: 1,
    sockets: 2,
    cores: 2,
    threads: 1,
  });
  assert.equal(cpudef(`<vcpu current='1'>6</vcpu>${topology}`).sockets, 6);
});

Deno.test("aliases that are not ours say nothing", () => {
  const parsed = (alias: string) =>
    parseDomainXml(`<domain><devices><disk type='file' device='disk'><source file='/a.raw'/>
      <target dev='vda' bus='virtio'/><alias name='${alias}'/></disk></devices></domain>`).def.osdisk;
  assert.deepEqual(parsed("ua-M_T_virtio__0"), disk("/a.raw", { man: 1, prov: 2 }));
  for (
    const alias of ["virtio-disk0", "ua-mydisk", "ua-X_t_virtio__0", "ua-M_x_virtio__0", "xua-M_T_virtio__0"]
  ) {
    assert.deepEqual(parsed(alias), disk("/a.raw"), alias);
  }
});

Deno.test("metadata of others and malformed records are passed over", () => {
  const parsed = parseDomainXml(`<domain xmlns:v="virtx-vm">
    <metadata>
      <data-vm xmlns="somebody-else"><field name="a">1</field></data-vm>
      <v:data-vm><v:field name="b">2</v:field></v:data-vm>
      <data-op xmlns="virtx-op-VmBoot"><op>VmDance</op><ts>1</ts><te>2</te><status>completed</status></data-op>
      <data-op xmlns="virtx-op-VmPause"><op>VmPause</op><ts>soon</ts><te>2</te><status>completed</status></data-op>
      <data-op xmlns="virtx-op-VmResume"><op>VmResume</op><ts>1</ts><te>2</te><status>completed</status></data-op>
    </metadata></domain>`);
  assert.deepEqual(parsed.def.custom, [{ name: "b", value: "2" }]);
  assert.deepEqual(parsed.operations, [{ op: "VmResume", ts: 1, te: 2, status: "completed", msg: "" }]);
});

Deno.test("metadata of others is read however deep it is, as libvirt takes it, and an entity in it stays as it is", () => {
  const deep = "<x>".repeat(240) + "&site;" + "</x>".repeat(240);
  const { def } = parseDomainXml(
    `<domain><name>web</name><metadata><a:a xmlns:a="urn:a">${deep}</a:a></metadata><vcpu>1</vcpu></domain>`,
  );
  assert.equal(def.name, "web");
});

for (
  const [what, xml] of [
    ["nothing", ""],
    ["no XML", "not xml"],
    ["another document", "<network/>"],
    ["crossed elements", "<domain><a><b></a></b></domain>"],
    ["two roots", "<domain/><domain/>"],
    ["an entity of its own", '<!DOCTYPE domain [<!ENTITY x "y">]><domain><name>&x;</name></domain>'],
    ["an attribute without quotes", "<domain id=1/>"],
    ["text after the end", "<domain/>x"],
  ] as const
) {
  Deno.test(`a document with ${what} is refused`, () => {
    assert.throws(() => parseDomainXml(xml), { name: "VirtxError", kind: "internal" });
  });
}
