import fc from "fast-check";
import assert from "node:assert/strict";
import { type Format, FORMATS } from "../../../../lib/cli/definition/format.ts";
import { parseDefinition } from "../../../../lib/cli/definition/parse.ts";
import type { ReadOptions } from "../../../../lib/cli/definition/read.ts";
import { DiskBus, DiskDevice, Firmware, NetModel, NetType } from "../../../../lib/model/enums.ts";
import { VirtxError } from "../../../../lib/model/error.ts";
import { normaliseVmdef } from "../../../../lib/model/normalise.ts";
import type { Vmdef } from "../../../../lib/model/vm.ts";
import { anyVmdef } from "../../../support/vmdef_arbitrary.ts";
import { disk } from "../../../support/vmdef_examples.ts";

/** As `field: message`, all that is wrong with a text. */
async function problems(text: string, format: Format = "yaml", options: ReadOptions = {}): Promise<string[]> {
  const error = await parseDefinition(text, format, "web.yaml", options).then(
    () => undefined,
    (error) => error,
  );
  if (!(error instanceof VirtxError)) throw error ?? new Error("there is nothing wrong with it");
  assert.equal(error.kind, "invalid");
  assert.equal(error.message, "Cannot use web.yaml as the definition of a VM");
  return error.issues.map(({ field, message }) => `${field}: ${message}`);
}

async function yaml(text: string, options: ReadOptions = {}): Promise<Vmdef> {
  return await parseDefinition(text, "yaml", "web.yaml", options);
}

const LEAST = "name: web1\nmemory: 2GiB\ndisks: [size: 20GiB]\n";
const made = (path: string, size: number, but = {}) => disk(path, { man: 1, prov: 1, size, ...but });

Deno.test("a name, memory and a disk are enough", async () => {
  const def: Vmdef = {
    name: "web1",
    cpudef: { model: "host-model", nodes: 1, sockets: 1, cores: 1, threads: 1 },
    memory: { total: 2048, hp: false },
    numa: { placement: false },
    osdisk: made("/vms/ds/web1/disk0.qcow2", 20480),
    disks: [],
    nets: [],
    vlanid: 0,
    firmware: Firmware.bios,
    genid: "",
    custom: [],
  };
  assert.deepEqual(await yaml(LEAST), def);
  const toml = 'name = "web1"\nmemory = "2GiB"\n[[disks]]\nsize = "20GiB"\n';
  assert.deepEqual(await parseDefinition(toml, "toml", "web.toml"), def);
  const json = '\uFEFF{"name": "web1", "memory": 2048, "disks": [{"size": 20480}]}';
  assert.deepEqual(await parseDefinition(json, "json", "web.json"), def);
});

Deno.test("a definition is read in words and units", async () => {
  const def = await yaml(`
# Comments are welcome.
name: web1
cpus: {model: EPYC-Rome, sockets: 2, cores: 4}
memory: {size: 4 GiB, hugepages: true}
firmware: UEFI
disks:
  - /vms/ds/install.iso
  - {size: 1TiB, provisioning: thick, bus: virtio-scsi}
  - {path: /dev/disk/by-id/wwn-0x1, device: lun, management: managed}
  - /vms/ds/shared/tools.qcow2
nets:
  - {bridge: br0, model: e1000e, mac: "52:54:00:AB:CD:EF"}
  - network: default
vlan: 42
numa: {placement: true}
genid: auto
custom: {owner: no, note: }
`);
  assert.deepEqual(def, {
    name: "web1",
    cpudef: { model: "EPYC-Rome", nodes: 1, sockets: 2, cores: 4, threads: 1 },
    memory: { total: 4096, hp: true },
    numa: { placement: true },
    osdisk: made("/vms/ds/web1/disk0.qcow2", 1024 * 1024, { bus: DiskBus.virtioScsi, prov: 2 }),
    disks: [
      disk("/vms/ds/install.iso", { device: DiskDevice.cdrom, bus: DiskBus.sata }),
      disk("/dev/disk/by-id/wwn-0x1", { device: DiskDevice.lun, bus: DiskBus.virtioScsi, man: 1 }),
      disk("/vms/ds/shared/tools.qcow2"),
    ],
    nets: [
      { name: "br0", nettype: NetType.bridge, model: NetModel.e1000e, mac: "52:54:00:ab:cd:ef" },
      { name: "default", nettype: NetType.network, model: NetModel.virtio, mac: "" },
    ],
    vlanid: 42,
    firmware: Firmware.uefi,
    genid: "auto",
    custom: [{ name: "owner", value: "no" }, { name: "note", value: "" }],
  });
});

Deno.test("the OS disk is what is called so, else the first that is no CD-ROM, else the CD-ROM", async () => {
  const paths = async (disks: string) => {
    const { osdisk, disks: others } = await yaml(`name: a\nmemory: 1GiB\n${disks}`);
    return [osdisk, ...others].map(({ path }) => path.replace("/vms/ds/", ""));
  };
  assert.deepEqual(await paths("disks: [/vms/ds/a.iso, /vms/ds/b.raw, /vms/ds/c.raw]"), [
    "b.raw",
    "a.iso",
    "c.raw",
  ]);
  assert.deepEqual(await paths("disks: [/vms/ds/a.iso, /vms/ds/b.iso]"), ["a.iso", "b.iso"]);
  assert.deepEqual(await paths("osdisk: /vms/ds/a.iso\ndisks: [/vms/ds/b.raw]"), ["a.iso", "b.raw"]);
  assert.deepEqual(await paths("osdisk: /vms/ds/a.raw"), ["a.raw"]);
});

Deno.test("a disk that exists is not taken over: only one with a size is made and managed", async () => {
  const of = async (said: string) => (await yaml(`name: a\nmemory: 1GiB\ndisks: [${said}]`)).osdisk;
  assert.deepEqual(await of("/vms/ds/a.raw"), disk("/vms/ds/a.raw"));
  assert.deepEqual(await of("{path: /vms/ds/a.raw, size: 1GiB}"), made("/vms/ds/a.raw", 1024));
  assert.deepEqual(await of("{path: /vms/ds/a.raw, management: managed}"), disk("/vms/ds/a.raw", { man: 1 }));
  const unmanaged = disk("/vms/ds/a.raw", { size: 1024 });
  assert.deepEqual(await of("{path: /vms/ds/a.raw, size: 1GiB, management: unmanaged}"), unmanaged);
  assert.deepEqual(await of("{path: /dev/sdx, size: 1GiB}"), disk("/dev/sdx", { size: 1024 }));
  assert.deepEqual(await of("{path: /vms/ds/a.raw, size: 1GiB, provisioning: none, man: 1}"), {
    ...unmanaged,
    man: 1,
  });
});

Deno.test("new disks are given paths that nobody has: neither the definition nor the VM before", async () => {
  const text = "name: a\nmemory: 1GiB\ndisks: [size: 1GiB, /vms/ds/a/disk1.qcow2, size: 2GiB, size: 3GiB]";
  const { osdisk, disks } = await yaml(text, { taken: ["/vms/ds/a/disk2.qcow2"] });
  assert.deepEqual([osdisk, ...disks].map(({ path }) => path.at(-7)), ["0", "1", "3", "4"]);
  for (const name of ["a/b", "..", "ci"]) {
    assert.deepEqual(await problems(`name: ${name}\nmemory: 1GiB\ndisks: [size: 1GiB]`), [
      `disks[0]: must have a path: none can be made from the VM's name "${name}"`,
    ]);
  }
});

Deno.test("a template is given its name from outside", async () => {
  const def = await yaml("memory: 1GiB\ndisks: [size: 1GiB]", { name: "web7" });
  assert.deepEqual([def.name, def.osdisk.path], ["web7", "/vms/ds/web7/disk0.qcow2"]);
  assert.equal((await yaml(LEAST, { name: "web8" })).osdisk.path, "/vms/ds/web8/disk0.qcow2");
});

Deno.test("what the API would take is read as the API reads it, whatever is left out", async () => {
  const zero = (key: string, value: unknown) =>
    !(["model", "path", "name", "total"].includes(key)) && [0, "", false].includes(value as string);
  await fc.assert(fc.asyncProperty(anyVmdef, fc.boolean(), async (def, request) => {
    const sparse = JSON.stringify(def, (key, value) => zero(key, value) ? undefined : value);
    const expected = normaliseVmdef(JSON.parse(sparse));
    assert.deepEqual(expected, def);
    const text = request ? `{"host": "", "vmdef": ${sparse}}` : sparse;
    assert.deepEqual(await parseDefinition(text, "json", "sparse"), expected);
    assert.deepEqual(await parseDefinition(text, "yaml", "sparse"), expected);
  }));
});

Deno.test("samples of the prototype's kind are read: without numa, prov and size, with null for empty lists", async () => {
  const sample = await Deno.readTextFile(new URL("../../../fixtures/vmdef/sparse.json", import.meta.url));
  assert.deepEqual(await parseDefinition(sample, "json", "sparse.json"), normaliseVmdef(JSON.parse(sample)));
  // To the API a size does not make a disk virtxd's own.
  const api =
    '{"name":"a","cpudef":{"model":"maximum"},"memory":{"total":64},"osdisk":{"path":"/vms/ds/a.raw","size":9}}';
  assert.deepEqual((await parseDefinition(api, "json", "api")).osdisk, disk("/vms/ds/a.raw", { size: 9 }));
});

Deno.test("one error tells all that is wrong, by the names that were used", async () => {
  const text = `
name: web1
nmae: web2
memory: {size: 2GB, hugepagse: true}
cpus: 1.5
firmware: uefy
disks:
  - {sise: 20GiB}
  - {path: /vms/ds/x.iso, man: 1, management: managed}
  - 7
nets:
  - {bridge: br0, network: default}
  - {name: br0}
  - br0
vlan: "7"
vlanid: 7
numa: true
genid: 7
custom: {port: 80, __proto__: a}
`;
  assert.deepEqual((await problems(text)).toSorted(), [
    "cpus: must be a whole number, not the number 1.5",
    "custom.port: must be text, not the number 80: put it in quotes",
    'disks[0].sise: is not known (did you mean "size"?)',
    "disks[1].management: says the same as disks[1].man: give one of them",
    "disks[2]: must be a path or a table such as {size: 20GiB}, not the number 7",
    'firmware: must be bios or uefi (did you mean "uefi"?)',
    "genid: must be text, not the number 7: put it in quotes",
    'memory.hugepagse: is not known (did you mean "hugepages"?)',
    "memory.size: must be in units of 1024: did you mean 2GiB?",
    "nets[0]: must name either a bridge or a network",
    "nets[1]: must say whether the name is that of a bridge or of a network",
    "nets[2]: must be a table such as {bridge: br0} or {network: default}, not text",
    'nmae: is not known (did you mean "name"?)',
    "numa: must be a table such as {placement: true}, not true",
    "vlan: must be a whole number, not text",
    "vlanid: says the same as vlan: give one of them",
  ]);
});

Deno.test("the model's rules are told by the names that were used, too", async () => {
  const text = `
name: " web1"
memory: {size: 3MiB, hp: true}
cpus: {sockets: 70, cores: 80}
disks:
  - /vms/ds/x.iso
  - {path: /etc/passwd, man: 0}
  - {path: /vms/ds/x.iso, device: disk}
  - {path: /vms/ds/y.iso, management: managed}
  - {path: /vms/ds/z.raw, provisioning: thin, man: unmanaged}
nets: [{bridge: 0123456789abcdef}, {network: default, mac: "00:00:00:00:00:00"}]
vlan: 5000
genid: x
custom: {"a\\tb": ""}
`;
  const fields = (await problems(text)).map((problem) => problem.slice(0, problem.indexOf(": ")));
  assert.deepEqual(fields.toSorted(), [
    "cpus",
    "custom.a\tb",
    "disks[1].path",
    "disks[2].path",
    "disks[2].path",
    "disks[3].management",
    "disks[4].man",
    "genid",
    "memory.size",
    "name",
    "nets[0].bridge",
    "nets[1].mac",
    "vlan",
  ]);
});

Deno.test("what is missing or out of bounds is told", async () => {
  assert.deepEqual(await problems("{}"), [
    "name: must be given",
    "memory: must be given",
    "disks: must be given",
  ]);
  assert.deepEqual(await problems("name: a\nmemory:\ndisks: []"), [
    "memory: must be given",
    "disks: must be given",
  ]);
  assert.deepEqual(await problems(`${LEAST}cpudef: {model: maximum}\n`), ["disks[0]: must have a path"]);
  assert.deepEqual(await problems("name: a\nmemory: 17TiB\ndisks: [size: 65TiB]"), [
    "memory: must be from 1 MiB to 16 TiB",
    "disks[0].size: must be from 0 MiB to 64 TiB",
  ]);
  assert.deepEqual(await problems('{"vmdef": {"name": 1}, "host": "virt1"}', "json"), [
    "host: must be given on the command line instead",
    "vmdef.name: must be text, not the number 1: put it in quotes",
    "vmdef.memory: must be given",
    "vmdef.disks: must be given",
  ]);
});

Deno.test("mistakes in syntax are told with their place", async () => {
  const cases: readonly (readonly [Format, string, string])[] = [
    ["json", "", "line 1, column 1: a value is missing at the end"],
    ["json", '{"name": web1}', "line 1, column 10: cannot be understood; text must be in double quotes"],
    ["json", '{"name": "a",\n "name": "b"}', 'line 2, column 2: the key "name" is given twice'],
    [
      "json",
      '{"disks": [\n{"size": 1, "\\u0073ize": 2}]}',
      'line 2, column 13: the key "\\u0073ize" is given twice',
    ],
    ["json", '{"name": "a",}', "line 1, column 14: must be a key in double quotes"],
    ["json", '{"name" "a"}', 'line 1, column 9: a ":" must stand here, after the key'],
    ["json", '{"disks": [1 2]}', 'line 1, column 14: "," or "]" must stand here'],
    ["json", '{"disks": [1,]}', "line 1, column 14: a value must stand before ]"],
    [
      "json",
      '{"name": "a\\x"}',
      "line 1, column 10: must be text without control characters and with sound escapes",
    ],
    ["json", "{} {}", "line 1, column 4: must end here"],
    ["json", "[".repeat(1_000_000), "line 1, column 18: is nested too deeply"],
    ["yaml", "name: a\nname: b\n", "line 2, column 1: the key is given twice"],
    ["yaml", "name: a\n---\nname: b\n", "line 2, column 1: "],
    ["yaml", "name: !!js/function x", "line 1, column 7: must not have a tag of this kind (!)"],
    ["yaml", "name: !secret x", "line 1, column 7: must not have a tag of this kind (!)"],
    ["yaml", "? [a]\n: b", "line 1, column 3: a key must be text"],
    ["yaml", "name: [", "line 1, column 8: "],
    ["yaml", "a:\n\t- b", "line 2, column 1: Tabs are not allowed as indentation"],
    ["yaml", "name: *who", "definition: Unresolved alias"],
    ["toml", 'name = "a"\nname = "b"\n', "line 2, column 1: "],
    ["toml", "name = \n", "line 1, column 8: "],
    ["toml", 'name = "a"\n[disks]\nb = 9007199254740993\n', "line 3, column 5: "],
  ];
  for (const [format, text, expected] of cases) {
    const [problem = "", ...others] = await problems(text, format);
    assert.ok(problem.startsWith(expected), `${text.slice(0, 40)}: ${problem}`);
    assert.deepEqual(others, []);
  }
});

Deno.test("YAML is that of 1.2: no is text, and keys are", async () => {
  const { custom } = await yaml(`${LEAST}custom: {no: no, on: yes, 10: x, true: y, "~": z}\n`);
  assert.deepEqual(
    new Map(custom.map(({ name, value }) => [name, value])),
    new Map([
      ["no", "no"],
      ["on", "yes"],
      ["10", "x"],
      ["true", "y"],
      ["~", "z"],
    ]),
  );
  assert.deepEqual(await problems(`${LEAST}<<: {vlan: 7}\n`), ["<<: is not known"]);
});

Deno.test("aliases are understood, and those that grow without bound refused", async () => {
  const net = "nets: [&lan {bridge: br0}, *lan]\n";
  assert.deepEqual((await yaml(LEAST + net)).nets.map(({ name }) => name), ["br0", "br0"]);
  const levels = Array.from(
    { length: 12 },
    (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(", ")}]`,
  );
  assert.deepEqual(await problems(["a0: &a0 [x]", ...levels].join("\n")), [
    "definition: has too many aliases (*)",
  ]);
  assert.deepEqual(await problems(`${LEAST}nets: &n [*n]\n`), [
    "nets[0]: must be a table such as {bridge: br0} or {network: default}, not a list",
  ]);
});

Deno.test("texts longer than any definition are refused unread", async () => {
  for (const format of FORMATS) {
    assert.deepEqual(await problems(" ".repeat(1024 * 1024 + 1), format), [
      "definition: must have at most 1048576 characters",
    ]);
  }
  const long = JSON.stringify({ ["k".repeat(500_000)]: "v".repeat(500_000) });
  assert.equal((await problems(long, "json"))[0], `${"k".repeat(64)}: is not known`);
});

Deno.test("JSON is read as JSON.parse reads it", async () => {
  const { parseJson } = await import("../../../../lib/cli/definition/syntax_json.ts");
  const unique = fc.json({ maxDepth: 5 });
  fc.assert(fc.property(unique, fc.constantFrom(undefined, 1, "\t"), (json, space) => {
    const value = JSON.parse(json);
    assert.deepEqual(parseJson(JSON.stringify(value, undefined, space)), value);
  }));
});

Deno.test("no text and no value makes it fail other than by telling what is wrong", async () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom<unknown>("1GiB", "/vms/ds/a.raw", 3, null, "disk", "br0"),
  );
  const keys = fc.constantFrom(
    ..."name cpus cpudef memory firmware osdisk disks nets vlan numa genid custom vmdef host".split(" "),
    ..."path size device bus man prov bridge network type mac model cores total hp placement value __proto__"
      .split(" "),
  );
  const table = (item: fc.Arbitrary<unknown>) => fc.array(fc.tuple(keys, item)).map(Object.fromEntries);
  const part = fc.oneof(value, table(value), fc.array(fc.oneof(value, table(value)), { maxLength: 3 }));
  const text = fc.oneof(
    table(part).map((tree) => JSON.stringify(tree)),
    fc.string({ unit: "binary" }),
    fc.array(fc.constantFrom(..."name:-[]{}=\"'&*!|>#\n \t1,.~%@a")).map((units) => units.join("")),
  );
  await fc.assert(
    fc.asyncProperty(text, fc.constantFrom(...FORMATS), async (text, format) => {
      for (const problem of await problems(text, format)) assert.match(problem, /^[^]+: [^]+$/);
    }),
    { numRuns: 500 },
  );
});
