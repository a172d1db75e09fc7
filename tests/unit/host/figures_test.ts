import assert from "node:assert/strict";
import { counterDelta } from "../../../lib/host/counter.ts";
import { hostResources, type HostSample, type VmDemand } from "../../../lib/host/figures.ts";

const CAPACITY = { cpus: 4, mhz: 2000, loadFactor: 25 };

function sample(busy: number, all: number): HostSample {
  return { cpu: { busy, all }, memory: { total: 16000, free: 10000, hp: { total: 4096, free: 1024 } } };
}

const VM: VmDemand = {
  vcpus: 2,
  memoryMiB: 2048,
  residentMiB: 1000,
  hugepages: false,
  active: true,
  mhzUsed: 500,
};

Deno.test("host figures follow protocol.md §5", () => {
  const off = { ...VM, residentMiB: 0, active: false, mhzUsed: 0 };
  const huge = { ...VM, residentMiB: 50, hugepages: true };
  const hugeOff = { ...off, hugepages: true, memoryMiB: 512 };
  assert.deepEqual(
    hostResources(CAPACITY, sample(1000, 10_000), sample(2000, 12_000), [VM, off, huge, hugeOff]),
    {
      memory: {
        total: 16000,
        used: 6000,
        free: 10000,
        usedos: 6000 - 1050,
        reservedvms: 4096,
        usedvms: 1050,
        availablevms: 16000 - 4096 - 4950,
      },
      hp: {
        total: 4096,
        used: 3072,
        free: 1024,
        usedos: 1024,
        reservedvms: 2560,
        usedvms: 2048,
        availablevms: 4096 - 2560 - 1024,
      },
      // half of all CPU time was busy
      cpu: {
        total: 8000,
        used: 4000,
        free: 4000,
        usedos: 3000,
        reservedvms: 8 * 2000 / 4,
        usedvms: 1000,
        availablevms: 8000 - 4000 - 3000,
      },
    },
  );
});

Deno.test("without a sample before, nothing is known of CPU use", () => {
  const { cpu } = hostResources(CAPACITY, undefined, sample(2000, 12_000), []);
  assert.deepEqual([cpu.total, cpu.used, cpu.free, cpu.usedos], [8000, 0, 8000, 0]);
});

Deno.test("a host that used less than its VMs, by skew, has no negative use of its own", () => {
  const { cpu } = hostResources(CAPACITY, sample(0, 0), sample(10, 1000), [VM]);
  assert.deepEqual([cpu.used, cpu.usedvms, cpu.usedos, cpu.availablevms], [80, 500, 0, 8000 - 1000]);
});

Deno.test("CPU use is between nothing and everything, even if the kernel's counters step back", () => {
  assert.equal(hostResources(CAPACITY, sample(1000, 5000), sample(999, 6000), []).cpu.used, 0);
  assert.equal(hostResources(CAPACITY, sample(1000, 5000), sample(1000, 5000), []).cpu.used, 0);
  assert.equal(hostResources(CAPACITY, sample(1000, 5000), sample(3000, 6000), []).cpu.used, 8000);
});

Deno.test("counters that wrap go on, counters that were set back say nothing", () => {
  assert.equal(counterDelta(5, 12), 7);
  assert.equal(counterDelta(2 ** 32 - 10, 5), 15);
  assert.equal(counterDelta(2 ** 64 - 4096, 4096), 8192);
  assert.equal(counterDelta(1_000_000, 5), 0);
  assert.equal(counterDelta(2 ** 40, 5), 0);
  assert.equal(counterDelta(2 ** 32 - 10, 2 ** 32 - 20), 0);
});
