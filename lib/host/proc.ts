/** Readers of what the kernel and the distribution tell in text files; each takes a file's text. */

/** CPU time of the whole host since boot, in clock ticks. */
export interface CpuTimes {
  /** Kernel, user and waiting for I/O (protocol.md §5). */
  readonly busy: number;
  readonly all: number;
}

/** Memory in MiB, hugepages of the default size apart. */
export interface MemoryFigures {
  /** Without what is set aside for hugepages. */
  readonly total: number;
  readonly free: number;
  readonly hp: { readonly total: number; readonly free: number };
}

/** The factor of protocol.md §5 where nothing else is configured: a vcpu is expected to use 25 % of a CPU. */
const DEFAULT_LOAD_FACTOR = 25;

/** /proc/stat, its first line; see proc_stat(5). Guest time is part of user time there already. */
export function parseCpuTimes(text: string): CpuTimes {
  const line = /^cpu +([0-9 ]+)$/m.exec(text)?.[1] ?? "";
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line.split(
    " ",
  )
    .map(Number);
  const busy = user + nice + system + irq + softirq + iowait;
  return { busy, all: busy + idle + steal };
}

/** /proc/meminfo; see proc_meminfo(5). */
export function parseMeminfo(text: string): MemoryFigures {
  const fields = new Map<string, number>();
  for (const [, name = "", value] of text.matchAll(/^([^:]+): +([0-9]+)/gm)) fields.set(name, Number(value));
  const kib = (name: string) => fields.get(name) ?? 0;
  const mib = (amountKiB: number) => Math.trunc(amountKiB / 1024);
  const pageKiB = kib("Hugepagesize");
  const poolKiB = kib("HugePages_Total") * pageKiB;
  return {
    // Hugetlb counts the pages of all sizes; kernels before 4.20 lack it.
    total: mib(kib("MemTotal") - (fields.get("Hugetlb") ?? poolKiB)),
    free: mib(kib("MemFree")),
    hp: { total: mib(poolKiB), free: mib(kib("HugePages_Free") * pageKiB) },
  };
}

/** cpufreq/cpuinfo_max_freq, which is in kHz, as MHz; undefined where it says nothing. */
export function parseMaxFrequency(text: string): number | undefined {
  const mhz = Math.trunc(Number.parseInt(text, 10) / 1000);
  return mhz > 0 ? mhz : undefined;
}

/** ID and VERSION_ID of os-release(5), which is a list of shell assignments. */
export function parseOsRelease(text: string): { readonly osid: string; readonly osv: string } {
  const value = (name: string) => {
    const assigned = new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1]?.trim() ?? "";
    const quoted = /^(["'])(.*)\1$/.exec(assigned)?.[2];
    return quoted?.replace(/\\(.)/g, "$1") ?? assigned;
  };
  return { osid: value("ID"), osv: value("VERSION_ID") };
}

/**
 * The load factor of /etc/numa-preplace.conf, in percent: the value of its line `-o VALUE`. `#` begins a comment.
 * 25 if there is no such file, line or number.
 */
export function parseLoadFactor(text: string | undefined): number {
  for (const line of (text ?? "").split("\n")) {
    const value = Number(/^\s*-o\s+([0-9.]+)\s*$/.exec(line.replace(/#.*/, ""))?.[1]);
    if (Number.isFinite(value)) return value;
  }
  return DEFAULT_LOAD_FACTOR;
}
