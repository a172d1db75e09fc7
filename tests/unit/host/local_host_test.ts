import assert from "node:assert/strict";
import type { Capabilities } from "../../../lib/domain_xml/mod.ts";
import { capacityOf, hostdefOf } from "../../../lib/host/hostdef.ts";
import { domainTypeOf } from "../../../lib/host/local_host.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const NODE = {
  model: "x86_64",
  memoryKiB: 1,
  cpus: 32,
  mhz: 2100,
  nodes: 2,
  sockets: 1,
  cores: 8,
  threads: 2,
};

function capabilities(...guests: [arch: string, domainTypes: string[]][]): Capabilities {
  return {
    host: {
      uuid: numberedUuid(1),
      arch: "x86_64",
      vendor: "AMD",
      model: "EPYC-Rome",
      tscFrequencyHz: 2_100_000_000,
      topology: undefined,
      numaNodes: 2,
      pageSizesKiB: [4],
    },
    guests: guests.map(([arch, domainTypes]) => ({ arch, domainTypes, emulator: "", machines: new Set() })),
  };
}

Deno.test("auto is KVM where libvirt offers it for the host's own architecture", () => {
  const both = capabilities(["aarch64", ["qemu"]], ["x86_64", ["qemu", "kvm"]]);
  const foreign = capabilities(["aarch64", ["qemu", "kvm"]], ["x86_64", ["qemu"]]);
  assert.equal(domainTypeOf("QEMU", both, "auto"), "kvm");
  assert.equal(domainTypeOf("QEMU", foreign, "auto"), "qemu");
  assert.equal(domainTypeOf("QEMU", both, "qemu"), "qemu");
  assert.equal(domainTypeOf("QEMU", foreign, "kvm"), "kvm");
  assert.equal(domainTypeOf("TEST", both, "kvm"), "test");
});

Deno.test("a host's definition is put together from what libvirt and the system tell", () => {
  const facts = {
    hostname: "virt1",
    capabilities: capabilities().host,
    node: NODE,
    sysinfo: { biosVersion: "2.61", biosDate: "05/07/2014" },
    os: { osid: "debian", osv: "12" },
  };
  const expected = {
    name: "virt1",
    cpuarch: { arch: "x86_64", vendor: "AMD" },
    cpudef: { model: "EPYC-Rome", nodes: 2, sockets: 1, cores: 8, threads: 2 },
    tscfreq: 2_100_000_000,
    sysinfo: { version: "2.61", date: "05/07/2014" },
    osid: "debian",
    osv: "12",
  };
  assert.deepEqual(hostdefOf(facts), expected);
  assert.deepEqual(hostdefOf({ ...facts, sysinfo: undefined }).sysinfo, { version: "", date: "" });
});

Deno.test("the maximum frequency comes before libvirt's figure", () => {
  assert.deepEqual(capacityOf(NODE, 3300, 25), { cpus: 32, mhz: 3300, loadFactor: 25 });
  assert.equal(capacityOf(NODE, undefined, 25).mhz, 2100);
});
