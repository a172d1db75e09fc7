import assert from "node:assert/strict";
import { variablesFile, withVariablesFile } from "../../../lib/domain_xml/variables.ts";
import { fixture } from "../../support/fixtures.ts";

const SHARED = "/vms/ds/nvram/x.fd";

/** How a definition tells of its variables; undefined: it has none. */
const CASES: readonly (readonly [os: string, file: string | undefined])[] = [
  ["<os><type>hvm</type></os>", undefined],
  ["<os firmware='bios'><type>hvm</type></os>", undefined],
  ["<os firmware='efi'><type>hvm</type></os>", "/var/lib/libvirt/qemu/nvram/web_VARS.fd"],
  ["<os><loader type='rom'>/x</loader></os>", undefined],
  ["<os><loader type='pflash'>/x</loader></os>", "/var/lib/libvirt/qemu/nvram/web_VARS.fd"],
  ["<os firmware='efi'><loader stateless='yes'/></os>", undefined],
  ["<os firmware='efi'><nvram>/vms/ds/nvram/a.fd</nvram></os>", "/vms/ds/nvram/a.fd"],
  ["<os><loader type='pflash'>/x</loader><nvram template='/t'>/a</nvram></os>", "/a"],
  ["<os firmware='efi'><nvram type='file'><source file='/b'/></nvram></os>", "/b"],
  ["<os firmware='efi'><nvram type='network'><source protocol='nbd'/></nvram></os>", undefined],
];

for (const [os, file] of CASES) {
  Deno.test(`UEFI variables of ${os}: ${file ?? "none"}`, () => {
    const xml = `<domain type='qemu'>\n  <name>web</name>\n  ${os}\n</domain>`;
    assert.equal(variablesFile(xml), file);
    if (file !== undefined) assert.equal(variablesFile(withVariablesFile(xml, SHARED)), SHARED);
  });
}

Deno.test("all else of a definition stays as it is when its variables get another place", () => {
  const xml = fixture("domain_xml/libvirt-9.0/uefi-inactive.xml");
  const edited = withVariablesFile(xml, SHARED);
  assert.equal(variablesFile(edited), SHARED);
  assert.equal(edited.replace(/\s*<nvram>[^<]*<\/nvram>/, ""), xml);
});
