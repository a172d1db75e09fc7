import assert from "node:assert/strict";
import {
  buildDomainXml,
  operationMetadata,
  parseDomainXml,
  seedDeviceXml,
} from "../../../lib/domain_xml/mod.ts";
import { type Operation, RECORDED_OPERATIONS } from "../../../lib/model/operation.ts";
import { disk, SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const UUID = "6b1f9bfe-6e3e-4f0e-9f3e-000000000001";

Deno.test("the seed is a read-only CD-ROM on scsi controller 0", () => {
  assert.equal(
    seedDeviceXml(UUID),
    `<disk type="file" device="cdrom">
  <driver name="qemu" type="raw" cache="none"/>
  <source file="/vms/ds/ci/${UUID}/seed.iso"/>
  <target dev="sdz" bus="scsi"/>
  <readonly/>
  <address type="drive" controller="0" bus="0" target="0" unit="0"/>
</disk>
`,
  );
});

Deno.test("the seed is no part of a definition", () => {
  const data =
    `<disk type="file" device="disk"><source file="/vms/ds/a.raw"/><target dev="vda" bus="virtio"/></disk>`;
  const { def } = parseDomainXml(`<domain><devices>${seedDeviceXml(UUID)}${data}</devices></domain>`);
  assert.deepEqual([def.osdisk, def.disks], [disk("/vms/ds/a.raw"), []]);
});

const OPERATIONS: readonly Operation[] = RECORDED_OPERATIONS.map((op, index) => ({
  op,
  ts: 1_781_000_000_000 + index,
  te: index,
  status: "failed",
  msg: ` "${op}" & <more>\nlines\t😀 `,
}));

Deno.test("a new definition keeps the records of operations", () => {
  const context = {
    arch: "i686",
    domainType: "test",
    libvirtVersion: 9_000_000,
    capabilities: undefined,
  } as const;
  const xml = buildDomainXml(UUID, SMALL_VMDEF, context, OPERATIONS);
  assert.deepEqual(parseDomainXml(xml).operations, OPERATIONS);
});

Deno.test("each kind of operation has a place of its own, and comes back as it was", () => {
  const records = OPERATIONS.map(operationMetadata);
  assert.equal(new Set(records.map(({ uri }) => uri)).size, OPERATIONS.length);
  assert.equal(records[0]?.uri, "virtx-op-VmBoot");
  // As virDomainSetMetadata stores it: the key is a prefix of the element, bound to the uri.
  const stored = records.map(({ uri, key, xml }) =>
    xml.replace("<data-op>", `<${key}:data-op xmlns:${key}="${uri}">`).replace(
      "</data-op>",
      `</${key}:data-op>`,
    )
  );
  const parsed = parseDomainXml(`<domain><metadata>${stored.join("")}</metadata></domain>`);
  assert.deepEqual(parsed.operations, OPERATIONS);
});
