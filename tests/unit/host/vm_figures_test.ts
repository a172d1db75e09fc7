import assert from "node:assert/strict";
import { readHardware } from "../../../lib/host/definition.ts";
import {
  countersOf,
  NO_FIGURES,
  type VmCounters,
  vmFigures,
  type VmSample,
} from "../../../lib/host/vm_figures.ts";
import type { DomainStats } from "../../../lib/libvirt/stats.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const MIB = 1024 * 1024;

function stats(part: Partial<DomainStats> = {}): DomainStats {
  return {
    uuid: numberedUuid(1),
    name: "web1",
    state: 1,
    reason: 0,
    cpuTimeNs: 5e9,
    balloon: { currentKiB: 1024 * 1024, maximumKiB: 2048 * 1024, rssKiB: 300 * 1024 },
    net: [],
    block: [],
    ...part,
  };
}

function disk(name: string, capacity?: number, allocation?: number, physical?: number) {
  return { name, path: undefined, capacity, allocation, physical };
}

function net(name: string, rxBytes: number, txBytes: number) {
  return { name, rxBytes, txBytes };
}

function counters(part: Partial<VmCounters> = {}): VmCounters {
  return { atMs: 1000, cpuTimeNs: 5e9, net: [], ...part };
}

function sample(part: Partial<VmSample> = {}): VmSample {
  const hardware = { memoryMiB: 512, hugepages: false, removable: new Set<string>() };
  return { stats: stats(), hardware, active: true, before: undefined, now: undefined, mhz: 3000, ...part };
}

Deno.test("CPU use is CPU time over time, 100 for one CPU, and as MHz", () => {
  const figures = vmFigures(
    sample({ before: counters(), now: counters({ atMs: 3000, cpuTimeNs: 8e9 }) }),
    NO_FIGURES,
  );
  assert.deepEqual([figures.cpu_utilization, figures.mhz_used], [150, 4500]);
});

Deno.test("network rates are KiB/s over all interfaces, across a wrap", () => {
  const before = counters({ net: [net("vnet0", 2 ** 32 - 1024, 0), net("vnet1", 100, 50_000)] });
  const now = counters({
    atMs: 3000,
    net: [net("vnet2", 9e9, 9e9), net("vnet0", 3072, 40_960), net("vnet1", 100, 70_480)],
  });
  const figures = vmFigures(sample({ before, now }), NO_FIGURES);
  assert.deepEqual([figures.net_rx_bw, figures.net_tx_bw], [2, 30]);
});

Deno.test("rates are 0 in the first sample, over no time, and across a restart of the VM", () => {
  const now = counters({ atMs: 2000, cpuTimeNs: 6e9, net: [net("vnet0", 1e9, 1e9)] });
  const unusable: (VmCounters | undefined)[] = [
    undefined,
    { ...now, cpuTimeNs: 0 },
    counters({ cpuTimeNs: 7e9, net: [net("vnet0", 0, 0)] }),
  ];
  for (const before of unusable) {
    const { cpu_utilization, mhz_used, net_rx_bw, net_tx_bw } = vmFigures(
      sample({ before, now }),
      NO_FIGURES,
    );
    assert.deepEqual([cpu_utilization, mhz_used, net_rx_bw, net_tx_bw], [0, 0, 0, 0]);
  }
});

Deno.test("memory is what the guest may have, and what QEMU has resident while it runs", () => {
  const figures = vmFigures(sample(), NO_FIGURES);
  assert.deepEqual([figures.memory_capacity, figures.memory_used], [2048, 300]);
  assert.equal(vmFigures(sample({ active: false }), figures).memory_used, 0);
  const untold = stats({ balloon: { currentKiB: undefined, maximumKiB: undefined, rssKiB: undefined } });
  const later = vmFigures(sample({ stats: untold }), figures);
  assert.deepEqual([later.memory_capacity, later.memory_used], [512, 300]);
});

Deno.test("disk figures are summed over disks and LUNs, without removable media", () => {
  const block = [
    disk("vda", 10 * MIB, 4 * MIB, 5 * MIB),
    disk("sda", 650 * MIB, 650 * MIB, 650 * MIB),
    disk("sdb", 20 * MIB, undefined, MIB / 2),
  ];
  const hardware = { memoryMiB: 512, hugepages: false, removable: new Set(["sda"]) };
  const figures = vmFigures(sample({ stats: stats({ block }), hardware }), NO_FIGURES);
  assert.deepEqual([figures.disk_capacity, figures.disk_allocation, figures.disk_physical], [30, 4, 5]);
  const untold = stats({ block: [disk("vda")] });
  assert.equal(vmFigures(sample({ stats: untold, hardware }), figures).disk_capacity, 30);
});

Deno.test("counters that libvirt cannot tell are no counters", () => {
  assert.equal(countersOf(stats({ cpuTimeNs: undefined }), 1), undefined);
  assert.deepEqual(countersOf(stats({ net: [{ name: "vnet0", rxBytes: 7, txBytes: undefined }] }), 1), {
    atMs: 1,
    cpuTimeNs: 5e9,
    net: [net("vnet0", 7, 0)],
  });
});

Deno.test("memory, hugepages and removable media are read from the definition, not from its metadata", () => {
  const xml = `<domain type='kvm'>
  <name>x</name>
  <metadata>
    <v:data xmlns:v='urn:x'>
      <memory unit='KiB'>1</memory>
      <memoryBacking>
        <hugepages/>
      </memoryBacking>
      <devices><disk type='file' device='cdrom'><target dev='vda'/></disk></devices>
    </v:data>
  </metadata>
  <memory unit='KiB'>1048576</memory>
  <devices>
    <disk type='file' device='disk'>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <target dev='sda' bus='sata'/>
    </disk>
    <disk type='block' device='lun'>
      <target dev='sdb' bus='scsi'/>
    </disk>
    <disk type='file' device='cdrom'>
      <target dev='sdc' bus='sata' tray='open'/>
    </disk>
  </devices>
</domain>
`;
  assert.deepEqual(readHardware(xml), {
    memoryMiB: 1024,
    hugepages: false,
    removable: new Set(["sda", "sdc"]),
  });
  const backed = xml.replace(
    "\n  <memory ",
    "\n  <memoryBacking>\n    <hugepages/>\n  </memoryBacking>\n  <memory ",
  );
  assert.equal(readHardware(backed).hugepages, true);
});
