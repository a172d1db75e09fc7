import type { ProcessIdentity } from "./process_identity.ts";

/**
 * What is written down about labs, in /var/lib/virtxd-lab/<lab>: lab.json says what shall exist, and is written before
 * any of it is made; what does exist, the process table and the kernel tell.
 */

/** Where labs keep their files. Not /tmp or /run: those are often in memory, where QEMU cannot open a disk with O_DIRECT. */
export const BASE = "/var/lib/virtxd-lab";

export interface HostRecord {
  /** virt1, virt2, … */
  readonly name: string;
  /** libvirt's host UUID. */
  readonly uuid: string;
  /** systemd's machine-id(5): 32 hex digits. */
  readonly machineId: string;
  /** IPv4, on br0. */
  readonly address: string;
}

export interface LabRecord {
  readonly name: string;
  /** Tells its processes from those of any other lab, of whatever name and wherever its files are. */
  readonly id: string;
  /** The lab's /24: the first three parts of its addresses. */
  readonly subnet: string;
  /** The network device on the machine that leads to the lab. */
  readonly uplink: string;
  readonly hosts: readonly HostRecord[];
  /** For labs of a test run: the process without which the lab has no purpose. */
  readonly owner?: ProcessIdentity;
}

/** A lab's name becomes part of paths and, hashed, of a device's name. */
export function checkName(name: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(name)) {
    throw new Error(`Lab name "${name}" is not made of 1 to 32 of a-z, 0-9 and -`);
  }
  return name;
}

/** The directory of a lab. */
export function labDirectory(name: string): string {
  return `${BASE}/${checkName(name)}`;
}

/** Names of all labs that have left something written, in order. */
export async function labNames(): Promise<string[]> {
  try {
    const names: string[] = [];
    for await (const entry of Deno.readDir(BASE)) if (entry.isDirectory) names.push(entry.name);
    return names.sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** A lab's record, or undefined if there is none (yet, or because `up` was ended before it wrote one). */
export async function readLab(name: string): Promise<LabRecord | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(`${labDirectory(name)}/lab.json`)) as LabRecord;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes a lab's record whole or not at all. */
export async function writeLab(record: LabRecord): Promise<void> {
  const directory = labDirectory(record.name);
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/lab.json.new`, JSON.stringify(record, undefined, 2) + "\n");
  await Deno.rename(`${directory}/lab.json.new`, `${directory}/lab.json`);
}

/**
 * Lets one script at a time change labs on this machine (flock(2) on the base directory, which the kernel releases
 * when the script ends in whatever way). On release the directory goes if no lab is left.
 */
export async function lockLabs(): Promise<AsyncDisposable> {
  for (;;) {
    await Deno.mkdir(BASE, { recursive: true, mode: 0o700 });
    const file = await Deno.open(BASE);
    await file.lock(true);
    if (await isStillThere(file)) return { [Symbol.asyncDispose]: () => release(file) };
    file.close();
  }
}

/** Whether the locked directory is the one that others will find, not one that was removed while we waited. */
async function isStillThere(file: Deno.FsFile): Promise<boolean> {
  try {
    return (await Deno.stat(BASE)).ino === (await file.stat()).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function release(file: Deno.FsFile): Promise<void> {
  if ((await labNames()).length === 0) await Deno.remove(BASE).catch(() => {}); // Best effort: it may not be empty.
  file.close();
}
