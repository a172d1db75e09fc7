import type { LabHost } from "../../../scripts/lab/host.ts";

/** What the libvirt of a host has, as virsh(1) prints it and as its own files say; and the guests, by the process table. */

export interface DomainView {
  readonly uuid: string;
  readonly title: string;
  /** The definition. */
  readonly xml: string;
  /** Paths of the disks that it may write to, by the definition and by what runs. */
  readonly disks: readonly string[];
}

export interface GuestView {
  readonly uuid: string;
  /** Files that its QEMU has open for writing, by device and inode. */
  readonly writes: readonly string[];
}

/** All domains of a host, by virsh. */
export async function viewDomains(host: LabHost): Promise<DomainView[]> {
  const virsh = async (script: string) =>
    await host.exec(["timeout", "20", "virsh", "--quiet", script], { timeoutMs: 30_000 });
  const uuids = (await virsh("list --all --uuid")).split(/\s+/).filter(Boolean);
  const active = new Set((await virsh("list --uuid")).split(/\s+/).filter(Boolean));
  const domains: DomainView[] = [];
  for (const uuid of uuids) {
    const { code, stdout: xml } = await host.run(["virsh", "--quiet", "dumpxml", "--inactive", uuid]);
    if (code !== 0) continue; // it has just gone
    const live = active.has(uuid) ? (await host.run(["virsh", "--quiet", "dumpxml", uuid])).stdout : "";
    domains.push(domainOf(xml, live));
  }
  return domains;
}

/** The definitions that a host's libvirt keeps on the host's own disk; of a host that is down, too. */
export async function keptDefinitions(host: LabHost): Promise<DomainView[]> {
  const directory = `${host.disk}/etc/libvirt/qemu`;
  const found: DomainView[] = [];
  const entries = await Array.fromAsync(Deno.readDir(directory)).catch(() => []);
  for (const { name } of entries) {
    if (!name.endsWith(".xml")) continue;
    const xml = await Deno.readTextFile(`${directory}/${name}`).catch(() => ""); // it may just have gone
    if (xml.includes("</domain>")) found.push(domainOf(xml, ""));
  }
  return found;
}

/** The QEMU processes of a host; none, if it is down. */
export async function viewGuests(host: LabHost): Promise<GuestView[]> {
  const guests: GuestView[] = [];
  const proc = await host.path("/proc").catch(() => undefined);
  if (proc === undefined) return [];
  const entries = await Array.fromAsync(Deno.readDir(proc)).catch(() => []);
  for (const { name: pid } of entries) {
    if (!/^\d+$/.test(pid)) continue;
    const argv = (await Deno.readTextFile(`${proc}/${pid}/cmdline`).catch(() => "")).split("\0");
    const uuid = argv[argv.indexOf("-uuid") + 1];
    if (!argv[0]?.includes("qemu-system") || uuid === undefined) continue;
    guests.push({ uuid, writes: await writtenBy(`${proc}/${pid}`) });
  }
  return guests;
}

/** O_WRONLY and O_RDWR of open(2), in the flags that proc_pid_fdinfo(5) has in octal. */
const WRITES = 0o3;

async function writtenBy(process: string): Promise<string[]> {
  const files: string[] = [];
  const entries = await Array.fromAsync(Deno.readDir(`${process}/fd`)).catch(() => []);
  for (const { name } of entries) {
    try {
      const target = await Deno.readLink(`${process}/fd/${name}`);
      if (!target.endsWith(".raw")) continue;
      const info = await Deno.readTextFile(`${process}/fdinfo/${name}`);
      if ((parseInt(/flags:\s*(\d+)/.exec(info)?.[1] ?? "0", 8) & WRITES) === 0) continue;
      const { dev, ino } = await Deno.stat(`${process}/fd/${name}`);
      files.push(`${dev}:${ino}`);
    } catch {
      // closed meanwhile
    }
  }
  return files;
}

function domainOf(xml: string, live: string): DomainView {
  return {
    uuid: /<uuid>([^<]*)<\/uuid>/.exec(xml)?.[1] ?? "",
    title: /<title>([^<]*)<\/title>/.exec(xml)?.[1] ?? "",
    xml,
    disks: [...new Set([...writableDisks(xml), ...writableDisks(live)])],
  };
}

function writableDisks(xml: string): string[] {
  return [...xml.matchAll(/<disk\b[^>]*>[\s\S]*?<\/disk>/g)].flatMap(([disk]) => {
    if (/<(readonly|shareable)\s*\/>/.test(disk)) return [];
    const file = /<source\b[^>]*\bfile=(?:'([^']*)'|"([^"]*)")/.exec(disk);
    return file ? [file[1] ?? file[2] ?? ""] : [];
  });
}
