import assert from "node:assert/strict";
import type { CpuComparison } from "../../../lib/libvirt/cpu.ts";
import { DiskProvisioning, NetType } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { hostCpuOf, parsePlatform } from "../../../lib/domain_xml/mod.ts";
import { TargetChecker, type TargetCheckerOptions } from "../../../lib/vm/migration_check.ts";
import { parseTargetCheck, type TargetCheck } from "../../../lib/vm/migration_exchange.ts";
import { OBSTACLES } from "../../../lib/vm/migration_obstacles.ts";
import { fixture } from "../../support/fixtures.ts";
import { diskAt, SharedStorage } from "../../support/shared_storage.ts";
import { hostEntry, numberedUuid } from "../../support/vm_info.ts";

const HERE = numberedUuid(2000);
const VM = numberedUuid(1);
const DISK = "/vms/ds/web/os.qcow2";
const STORAGE = numberedUuid(7);
const MOUNT = { id: STORAGE, check: () => Promise.resolve(undefined) };
const CPU = "<cpu mode='custom'><model>EPYC</model></cpu>";

/** A guest that fits the host of the fixtures: Debian 12 without KVM. */
const FITS: Omit<TargetCheck, "disks"> = {
  vm: VM,
  name: "web",
  live: true,
  arch: "x86_64",
  domainType: "qemu",
  machine: "pc-i440fx-7.2",
  emulator: "/usr/bin/qemu-system-x86_64",
  qemuVersion: 7_002_011,
  uefi: true,
  vcpus: 4,
  memoryMiB: 1_000,
  hugepages: false,
  cpu: CPU,
  nets: [{ name: "default", nettype: NetType.network }, { name: "br0", nettype: NetType.bridge }],
};

type Libvirt = TargetCheckerOptions["hypervisor"];

/** What libvirt on the target answers: the texts of a real one, and verdicts on processors as the test says. */
function libvirt(but: Partial<Libvirt> = {}): Libvirt {
  return {
    capabilities: () => Promise.resolve(fixture("domain_xml/libvirt-9.0/capabilities.xml")),
    domains: () => Promise.resolve([]),
    hypervisorVersion: () => Promise.resolve(7_002_022),
    domainCapabilities: () => Promise.resolve(fixture("domain_xml/libvirt-9.0/domcapabilities-pc.xml")),
    compareCpu: () => Promise.resolve<CpuComparison>({ verdict: "superset" }),
    activeNetworks: () => Promise.resolve(["default"]),
    ...but,
  };
}

/** The target: 4,000 MiB and no hugepages available, bridge br0, the disk with 8 MiB. */
class Target implements AsyncDisposable {
  private constructor(readonly shared: SharedStorage, readonly fits: TargetCheck) {}

  static async create(): Promise<Target> {
    const shared = await SharedStorage.create();
    const storage = shared.storage();
    const disk = diskAt(DISK, { size: 8, prov: DiskProvisioning.thin });
    const created = await storage.plan(disk, "test");
    await storage.provision(created, disk);
    await storage.commit(created);
    return new Target(shared, { ...FITS, disks: [{ path: DISK, ...await storage.identify(DISK) }] });
  }

  async check(
    request: TargetCheck = this.fits,
    but: Partial<Libvirt> = {},
    user?: string,
    owner?: string,
  ): Promise<[code: string, message: string][]> {
    const memory = { total: 8_000, used: 0, free: 0, usedos: 1_000, reservedvms: 3_000, usedvms: 0 };
    const none = { total: 0, used: 0, free: 0, usedos: 0, reservedvms: 0, usedvms: 0, availablevms: 0 };
    const host = hostEntry({
      uuid: HERE,
      resources: { memory: { ...memory, availablevms: 4_000 }, hp: none, cpu: none },
    });
    const checker = new TargetChecker({
      hypervisor: libvirt(but),
      monitor: { uuid: HERE, hasBridge: (name) => name === "br0" },
      inventory: { host: () => host },
      storage: this.shared.storage({ mount: MOUNT }),
      localDisks: {
        users: (paths) =>
          Promise.resolve(new Map(user === undefined ? [] : paths.map((path) => [path, user]))),
      },
      owners: { recorded: () => Promise.resolve(owner) },
    });
    const verdict = await checker.check(parseTargetCheck(JSON.parse(JSON.stringify(request))));
    assert.equal(verdict.host, HERE);
    assert.equal(verdict.fits, verdict.obstacles.length === 0);
    for (const { code } of verdict.obstacles) assert.ok(code in OBSTACLES, code);
    return verdict.obstacles.map(({ code, message }) => [code, message]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shared[Symbol.asyncDispose]();
  }
}

Deno.test("a guest that has all that it needs here is welcome", async () => {
  await using target = await Target.create();
  assert.deepEqual(await target.check(), []);
});

const refused = (message: string) => Promise.reject(new VirtxError("refused", message));

/** Each incompatibility, and how the target tells it. */
const SEEDED: readonly {
  readonly what: string;
  readonly code: keyof typeof OBSTACLES;
  readonly says: RegExp;
  readonly guest?: Partial<TargetCheck>;
  readonly libvirt?: Partial<Libvirt>;
  /** Of the disk, as the source describes it. */
  readonly disk?: Partial<TargetCheck["disks"][number]>;
  readonly user?: string;
}[] = [
  { what: "another architecture", code: "arch", says: /riscv64 cannot run here/, guest: { arch: "riscv64" } },
  {
    what: "no KVM",
    code: "domain_type",
    says: /type kvm cannot run here, but qemu/,
    guest: { domainType: "kvm" },
    libvirt: {
      capabilities: () =>
        Promise.resolve(
          fixture("domain_xml/libvirt-9.0/capabilities.xml").replaceAll("<domain type='kvm'/>", ""),
        ),
    },
  },
  {
    what: "a machine type of a newer QEMU",
    code: "machine",
    says: /no machine type pc-i440fx-99/,
    guest: { machine: "pc-i440fx-99" },
  },
  {
    what: "QEMU in another place",
    code: "emulator",
    says: /\/opt\/qemu: no such file/,
    guest: { emulator: "/opt/qemu" },
    libvirt: { domainCapabilities: () => refused("no such file") },
  },
  {
    what: "an older QEMU",
    code: "qemu_version",
    says: /QEMU 7\.2\.22 is older than 8\.0\.3/,
    guest: { qemuVersion: 8_000_003 },
  },
  {
    what: "no UEFI",
    code: "firmware",
    says: /no UEFI/,
    libvirt: {
      domainCapabilities: () =>
        Promise.resolve(
          fixture("domain_xml/libvirt-9.0/domcapabilities-pc.xml").replace(
            /<enum name='firmware'>[^]*?<\/enum>/,
            "",
          ),
        ),
    },
  },
  {
    what: "no swtpm",
    code: "lacking",
    says: /no tpm of type "emulator" here/,
    guest: { devices: [{ kind: "tpm", type: "emulator" }, { kind: "video", type: "virtio" }] },
  },
  {
    what: "QEMU without SPICE",
    code: "lacking",
    says: /no graphics of type "spice" here/,
    guest: { devices: [{ kind: "graphics", type: "vnc" }, { kind: "graphics", type: "spice" }] },
    libvirt: {
      domainCapabilities: () =>
        Promise.resolve(
          fixture("domain_xml/libvirt-9.0/domcapabilities-pc.xml").replace("<value>spice</value>", ""),
        ),
    },
  },
  { what: "too many virtual CPUs", code: "vcpus", says: /4000 virtual CPUs/, guest: { vcpus: 4_000 } },
  {
    what: "a processor that lacks features",
    code: "cpu",
    says: /lacks avx512f/,
    libvirt: { compareCpu: () => Promise.resolve({ verdict: "incompatible", reason: "it lacks avx512f" }) },
  },
  {
    what: "a processor that libvirt there does not know",
    code: "cpu",
    says: /unknown CPU model/,
    libvirt: { compareCpu: () => refused("unknown CPU model") },
  },
  {
    what: "too little memory",
    code: "memory",
    says: /4001 MiB are needed and 4000 MiB available/,
    guest: { memoryMiB: 4_001 },
  },
  {
    what: "too few hugepages",
    code: "hugepages",
    says: /1000 MiB are needed and 0/,
    guest: { hugepages: true },
  },
  {
    what: "a disk that is not there",
    code: "disk_missing",
    says: /"\/vms\/ds\/other\.qcow2".*does not exist/,
    disk: { path: "/vms/ds/other.qcow2" },
  },
  {
    what: "a block device that the configuration does not allow",
    code: "disk_missing",
    says: /does not allow/,
    disk: { path: "/dev/vda" },
  },
  {
    what: "a local directory with the name of the shared one",
    code: "disk_other",
    says: /another one here \(inode \d+, not inode 4711\)/,
    disk: { identity: "inode 4711" },
  },
  {
    what: "another storage",
    code: "storage",
    says: new RegExp(`at /vms is another one here \\(${STORAGE}, not ${numberedUuid(8)}\\)`),
    guest: { storage: numberedUuid(8) },
  },
  {
    what: "a disk of another size",
    code: "disk_size",
    says: /has 8 MiB here, not 16/,
    disk: { sizeMiB: 16 },
  },
  {
    what: "a disk that a VM there uses",
    code: "disk_taken",
    says: new RegExp(`is one of ${numberedUuid(9)}`),
    user: numberedUuid(9),
  },
  {
    what: "a network that is not active",
    code: "network",
    says: /network "default" is not active/,
    libvirt: { activeNetworks: () => Promise.resolve([]) },
  },
  {
    what: "a bridge that is not there",
    code: "bridge",
    says: /no bridge "br7"/,
    guest: { nets: [{ name: "br7", nettype: NetType.bridge }] },
  },
  {
    what: "a VM of that UUID",
    code: "defined",
    says: /is known to libvirt here/,
    libvirt: { domains: () => Promise.resolve([{ uuid: VM, name: "web", persistent: true }]) },
  },
  {
    what: "another VM of its name in libvirt",
    code: "defined",
    says: new RegExp(`another VM of the name "web" \\(${numberedUuid(8)}\\); rename`),
    libvirt: { domains: () => Promise.resolve([{ uuid: numberedUuid(8), name: "web", persistent: false }]) },
  },
  {
    what: "libvirt that is away",
    code: "away",
    says: /connection lost/,
    libvirt: { domains: () => Promise.reject(new VirtxError("unavailable", "connection lost")) },
  },
];

for (const { what, code, says, guest, libvirt: but, disk, user } of SEEDED) {
  Deno.test(`incompatible: ${what} (${code})`, async () => {
    await using target = await Target.create();
    const disks = target.fits.disks.map((one) => ({ ...one, ...disk }));
    const found = await target.check({ ...target.fits, disks, ...guest }, but, user);
    assert.deepEqual(found.map(([word]) => word), [code], JSON.stringify(found));
    assert.match(found[0]?.[1] ?? "", says);
  });
}

Deno.test("all that is in the way is told at once", async () => {
  await using target = await Target.create();
  const found = await target.check({
    ...target.fits,
    memoryMiB: 9_999,
    machine: "pc-99",
    nets: [{ name: "br7", nettype: NetType.bridge }, { name: "lan", nettype: NetType.network }],
  });
  assert.deepEqual(found.map(([code]) => code).sort(), ["bridge", "machine", "memory", "network"]);
});

Deno.test("a guest that is off needs no newer QEMU, and takes the processor that it finds", async () => {
  await using target = await Target.create();
  const cold = { ...target.fits, live: false, cpu: "", qemuVersion: 9_000_000 };
  assert.deepEqual(await target.check(cold, { compareCpu: () => refused("not to be asked") }), []);
});

Deno.test("a check that is not as it should be is refused, and what is unknown in it is ignored", () => {
  const good = { ...FITS, disks: [] };
  assert.deepEqual(parseTargetCheck({ ...good, later: 1 }), good);
  for (const bad of [null, {}, { ...good, vm: "x" }, { ...good, disks: [{}] }, { ...good, vcpus: -1 }]) {
    assert.throws(() => parseTargetCheck(bad), { kind: "invalid" });
  }
});

/** What of a domain cannot be elsewhere, and where that is told. */
const TIED: readonly (readonly [where: "bound" | "unmovable" | "local", device: string, says: RegExp])[] = [
  ["bound", "<hostdev mode='subsystem' type='pci'/>", /^a device of this host \(pci\); remove/],
  ["bound", "<interface type='hostdev'/>", /^a network card of this host/],
  [
    "bound",
    "<interface type='direct'><source dev='eth0' mode='vepa'/></interface>",
    /device eth0 \(macvtap\)/,
  ],
  [
    "unmovable",
    "<filesystem type='mount'><source dir='/vms/ds/share'/></filesystem>",
    /^a directory .*migrate it cold/,
  ],
  ["bound", "<tpm model='tpm-tis'><backend type='passthrough'/></tpm>", /^this host's TPM/],
  ["local", "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>", /TPM.*migrate it live/],
  [
    "unmovable",
    "<disk type='file'><target dev='vdz'/><mirror type='file' job='copy'/></disk>",
    /^disk vdz that is just being copied; .*blockjob/,
  ],
];

for (const [where, device, says] of TIED) {
  Deno.test(`tied to its host (${where}): ${device}`, () => {
    const xml = fixture("domain_xml/libvirt-9.0/uefi-inactive.xml").replace(
      /<channel type='qemu-vdagent'>[^]*?<\/channel>/,
      "",
    );
    const { bound, unmovable, local } = parsePlatform(xml.replace("<devices>", `<devices>${device}`));
    const { [where]: told, ...others } = { bound, unmovable, local };
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", says);
    assert.deepEqual(Object.values(others).flat(), []);
  });
}

Deno.test("a kernel or directory of the host ties a VM to it, one on shared storage and a network's macvtap do not", () => {
  const xml = (kernel: string, source: string) =>
    fixture("domain_xml/libvirt-9.0/bios-inactive.xml").replace(
      "</type>",
      `</type><kernel>${kernel}</kernel>`,
    )
      .replace("<devices>", `<devices><interface type='direct'><source ${source}/></interface>`);
  const { bound } = parsePlatform(xml("/boot/vmlinuz", "dev='eth1' mode='bridge'"));
  assert.equal(bound.length, 2);
  assert.match(bound[1] ?? "", /^the file \/boot\/vmlinuz of this host; put it below \/vms first$/);
  assert.deepEqual(parsePlatform(xml("/vms/ds/vmlinuz", "network='lan' dev='eth1'")).bound, []);
  const filesystem = "<filesystem type='mount'><source dir='/srv'/></filesystem>";
  const shares = fixture("domain_xml/libvirt-9.0/bios-inactive.xml").replace(
    "<devices>",
    `<devices>${filesystem}`,
  );
  assert.deepEqual(parsePlatform(shares).bound, ['the directory "/srv" of this host; remove it first']);
});

Deno.test("what ties a guest to hosts is read from XML as libvirt prints it", () => {
  const live = parsePlatform(fixture("domain_xml/libvirt-9.0/bios-live.xml"));
  assert.equal(live.machine, "pc-i440fx-7.2");
  assert.equal(live.emulator, "/usr/bin/qemu-system-x86_64");
  assert.match(live.cpu, /^<cpu mode='maximum'[^]*<\/cpu>$/);
  assert.equal(live.unmovable.length, 1);
  assert.match(live.unmovable[0] ?? "", /^a qemu-vdagent channel, .*migrate it cold, or remove the channel/);
  assert.deepEqual([live.bound, live.local], [[], []]);
  assert.deepEqual(live.devices, [{ kind: "graphics", type: "vnc" }, { kind: "video", type: "virtio" }]);
  const cpu = hostCpuOf(fixture("domain_xml/libvirt-9.0/capabilities.xml"));
  assert.match(cpu, /^<cpu>\n[^]*<model>kvm64<\/model>[^]*<\/cpu>$/);
  assert.ok(!cpu.includes("<cpus"));
});
