import assert from "node:assert/strict";
import {
  parseCpuTimes,
  parseLoadFactor,
  parseMaxFrequency,
  parseMeminfo,
  parseOsRelease,
} from "../../../lib/host/proc.ts";

Deno.test("CPU time counts kernel, user and I/O wait as busy, and not steal, idle, or guest time twice", () => {
  const text = [
    "cpu  100 20 30 4000 5 6 7 800 90 9",
    "cpu0 1 1 1 1 1 1 1 1 0 0",
    "intr 12345 0 1",
    "",
  ].join("\n");
  const busy = 100 + 20 + 30 + 5 + 6 + 7;
  assert.deepEqual(parseCpuTimes(text), { busy, all: busy + 4000 + 800 });
});

Deno.test("memory is without hugepages, which are counted apart", () => {
  const text = [
    "MemTotal:       24684084 kB",
    "MemFree:        10485760 kB",
    "HugePages_Total:    1024",
    "HugePages_Free:      256",
    "Hugepagesize:       2048 kB",
  ].join("\n");
  assert.deepEqual(parseMeminfo(text), {
    total: Math.trunc((24684084 - 1024 * 2048) / 1024),
    free: 10240,
    hp: { total: 2048, free: 512 },
  });
});

Deno.test("hugepages of other sizes are no part of the memory either", () => {
  const text = [
    "MemTotal:        8388608 kB",
    "MemFree:         1048576 kB",
    "HugePages_Total:       0",
    "HugePages_Free:        0",
    "Hugepagesize:       2048 kB",
    "Hugetlb:         4194304 kB",
  ].join("\n");
  assert.deepEqual(parseMeminfo(text), { total: 4096, free: 1024, hp: { total: 0, free: 0 } });
});

Deno.test("a host without hugepages or frequency scaling is read all the same", () => {
  assert.deepEqual(parseMeminfo("MemTotal: 2048 kB\nMemFree: 1024 kB\n"), {
    total: 2,
    free: 1,
    hp: { total: 0, free: 0 },
  });
  assert.equal(parseMaxFrequency("3900000\n"), 3900);
  assert.equal(parseMaxFrequency(""), undefined);
});

Deno.test("os-release values are read with and without quotes", () => {
  const text = 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\nID_LIKE=other\n';
  assert.deepEqual(parseOsRelease(text), { osid: "debian", osv: "12" });
  assert.deepEqual(parseOsRelease("ID='opensuse-leap'\nVERSION_ID=\"15\\$6\"\n"), {
    osid: "opensuse-leap",
    osv: "15$6",
  });
  assert.deepEqual(parseOsRelease("ID=arch\n"), { osid: "arch", osv: "" });
});

Deno.test("the load factor is that of the -o line, or 25", () => {
  assert.equal(parseLoadFactor(undefined), 25);
  assert.equal(parseLoadFactor("# -o 99\n-x 3\n-o many\n"), 25);
  assert.equal(parseLoadFactor("-x 3\n  -o   12.5   # per cent\n-o 50\n"), 12.5);
  assert.equal(parseLoadFactor("-o 0\n"), 0);
});
