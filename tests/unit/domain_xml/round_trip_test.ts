import fc from "fast-check";
import assert from "node:assert/strict";
import {
  buildDomainXml,
  type DomainContext,
  parseDomainCapabilities,
  parseDomainXml,
  parseSummary,
} from "../../../lib/domain_xml/mod.ts";
import { Firmware } from "../../../lib/model/enums.ts";
import { vcpus } from "../../../lib/model/vm.ts";
import { fixture } from "../../support/fixtures.ts";
import { anyVmdef } from "../../support/vmdef_arbitrary.ts";
import { ENUM_VMDEFS } from "../../support/vmdef_examples.ts";

const UUID = "6b1f9bfe-6e3e-4f0e-9f3e-000000000001";

/** A full host, a bare one, one that does not tell, and one of another architecture. */
const full = parseDomainCapabilities(fixture("domain_xml/libvirt-9.0/domcapabilities-q35.xml"));
const bare = {
  ...full,
  iothreads: false,
  genid: false,
  cpuModes: new Set<string>(),
  firmware: new Set<string>(),
};
const CONTEXTS: readonly DomainContext[] = [
  { arch: "x86_64", domainType: "kvm", libvirtVersion: 11_000_000, capabilities: full },
  { arch: "x86_64", domainType: "qemu", libvirtVersion: 9_000_000, capabilities: bare },
  { arch: "i686", domainType: "test", libvirtVersion: 9_000_000, capabilities: undefined },
  { arch: "aarch64", domainType: "kvm", libvirtVersion: 11_000_000, capabilities: bare },
];

Deno.test("any definition comes back from its XML as it was, on any kind of host, in full and in summary", () => {
  fc.assert(fc.property(anyVmdef, fc.constantFrom(...CONTEXTS), (any, context) => {
    const def = context.arch === "aarch64" ? { ...any, firmware: Firmware.uefi } : any;
    const xml = buildDomainXml(UUID, def, context);
    assert.deepEqual(parseDomainXml(xml), { uuid: UUID, def, operations: [] });
    const { name, vlanid, custom } = def;
    assert.deepEqual(parseSummary(xml), { uuid: UUID, name, vlanid, custom, vcpus: vcpus(def.cpudef) });
  }));
});

for (const { what, def } of ENUM_VMDEFS) {
  Deno.test(`a definition with ${what} comes back as it was`, () => {
    for (const context of CONTEXTS.filter(({ arch }) => arch !== "aarch64")) {
      assert.deepEqual(parseDomainXml(buildDomainXml(UUID, def, context)).def, def);
    }
  });
}
