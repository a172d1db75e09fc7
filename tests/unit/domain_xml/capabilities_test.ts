import assert from "node:assert/strict";
import { parseCapabilities, parseDomainCapabilities, parseSysinfo } from "../../../lib/domain_xml/mod.ts";
import { fixture } from "../../support/fixtures.ts";

Deno.test("a host's capabilities are read from libvirt 9.0's QEMU driver", () => {
  const { host, guests } = parseCapabilities(fixture("domain_xml/libvirt-9.0/capabilities.xml"));
  assert.deepEqual(host, {
    uuid: "61909b5c-1dea-4863-b6ce-0e9100e9d172",
    arch: "x86_64",
    vendor: "AMD",
    model: "kvm64",
    tscFrequencyHz: 2_596_120_000,
    topology: { sockets: 1, dies: 1, cores: 2, threads: 1 },
    numaNodes: 1,
    pageSizesKiB: [4, 2048, 1_048_576],
  });
  assert.deepEqual(guests.map(({ arch, emulator, domainTypes }) => [arch, emulator, domainTypes]), [
    ["i686", "/usr/bin/qemu-system-i386", ["qemu", "kvm"]],
    ["x86_64", "/usr/bin/qemu-system-x86_64", ["qemu", "kvm"]],
  ]);
  assert.ok(guests[1]?.machines.has("q35"));
  assert.ok(guests[1]?.machines.has("pc-i440fx-7.2"));
});

Deno.test("what the test driver does not tell is undefined or empty", () => {
  const { host, guests } = parseCapabilities(fixture("domain_xml/libvirt-9.0/test-driver-capabilities.xml"));
  assert.deepEqual(host, {
    uuid: undefined,
    arch: "i686",
    vendor: "",
    model: "",
    tscFrequencyHz: 0,
    topology: undefined,
    numaNodes: 2,
    pageSizesKiB: [4, 8, 2048, 1_048_576],
  });
  assert.deepEqual(guests, [
    { arch: "i686", emulator: "/usr/bin/test-hv", domainTypes: ["test"], machines: new Set() },
  ]);
});

Deno.test("what a machine type can do is read from libvirt 9.0", () => {
  const q35 = parseDomainCapabilities(fixture("domain_xml/libvirt-9.0/domcapabilities-q35.xml"));
  const models = {
    cpuModels: [q35.cpuModels.has("Westmere"), q35.cpuModels.has("EPYC")],
    knownCpuModels: [q35.knownCpuModels.has("Westmere"), q35.knownCpuModels.has("EPYC")],
  };
  assert.deepEqual({ ...q35, ...models, loaders: q35.loaders.length }, {
    emulator: "/usr/bin/qemu-system-x86_64",
    domainType: "qemu",
    machine: "pc-q35-7.2",
    arch: "x86_64",
    maxVcpus: 288,
    iothreads: true,
    firmware: new Set(["efi"]),
    loaders: 3,
    cpuModes: new Set(["maximum", "host-model", "custom"]),
    cpuModels: [true, false],
    knownCpuModels: [true, true],
    diskDevices: new Set(["disk", "cdrom", "floppy", "lun"]),
    diskBuses: new Set(["fdc", "scsi", "virtio", "usb", "sata"]),
    videoModels: new Set(["vga", "cirrus", "vmvga", "qxl", "virtio", "none", "bochs", "ramfb"]),
    rngBackends: new Set(["random", "egd", "builtin"]),
    genid: true,
  });
  assert.ok(!q35.cpuModels.has("EPYC"), "not usable there");
});

Deno.test("a device that is not supported has no values, one that is not mentioned is unknown", () => {
  const { videoModels, rngBackends, genid } = parseDomainCapabilities(
    "<domainCapabilities><devices><video supported='no'><enum name='modelType'><value>vga</value></enum></video></devices></domainCapabilities>",
  );
  assert.deepEqual([videoModels, rngBackends, genid], [new Set(), undefined, false]);
});

Deno.test("the firmware's version and date are read from SMBIOS, or empty", () => {
  assert.deepEqual(parseSysinfo(fixture("domain_xml/libvirt-9.0/test-driver-sysinfo.xml")), {
    biosVersion: "G4ETA1WW (2.61 )",
    biosDate: "05/07/2014",
  });
  assert.deepEqual(parseSysinfo("<sysinfo type='smbios'/>"), { biosVersion: "", biosDate: "" });
});
