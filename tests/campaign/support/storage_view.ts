/**
 * What lies on the shared storage, read as plain files: the disks by the markers that they begin with, what the trash has, and
 * what is only there while something is under way.
 */

/** What every marker begins with; a unique text and a newline follow. */
const PREFIX = "virtxd-campaign ";
const MARKER_BYTES = 64;
/** How old what a cut off writer has left among virtxd's own files may get: then another removes it. */
const LEFT_MS = 3_700_000;

export interface StoredFile {
  /** As hosts have it. */
  readonly path: string;
  /** Undefined: it has none. */
  readonly marker: string | undefined;
  readonly born: number;
  /** Of a file in the trash: the id of its entry. */
  readonly entry: string | undefined;
}

export interface StorageView {
  readonly files: readonly StoredFile[];
  /** The UUID of the VM whose deletion made an entry of the trash, and the path that each file had, by entry/number. */
  readonly trashed: ReadonlyMap<string, { readonly vm: string; readonly path: string }>;
  /** Paths of what is only there while something is under way. */
  readonly unfinished: readonly string[];
}

/** @param root where the machine has what the hosts have at /vms */
export async function viewStorage(root: string): Promise<StorageView> {
  const files: StoredFile[] = [];
  const trashed = new Map<string, { vm: string; path: string }>();
  const unfinished: string[] = [];
  for await (const path of walk(root)) {
    const name = path.slice(root.length);
    const [, entry, last] = /^\/ds\/(?:.*\/)?\.virtxd\/trash\/([^/]+)\/(.*)$/.exec(name) ?? [];
    if (last === "info.json" && entry !== undefined) await readEntry(path, entry, trashed);
    else if (name.endsWith(".tmp")) {
      if (!name.includes("/.virtxd/") || await isOld(path)) unfinished.push(`/vms${name}`);
    } else if (/^\/xml\/[^/]+\/\.(journal|migrations)\//.test(name)) unfinished.push(`/vms${name}`);
    else if (/^\/ds\/.*\.raw$/.test(name) || entry !== undefined) {
      const file = await readFile(path);
      if (file) files.push({ path: `/vms${name}`, entry: entry && `${entry}/${last}`, ...file });
    }
  }
  return { files, trashed, unfinished };
}

/** Writes a marker into a file that has none; what it has then. Undefined: the file is not there. */
export async function mark(
  root: string,
  path: string,
): Promise<{ marker: string; born: number } | undefined> {
  try {
    using file = await Deno.open(root + path.replace(/^\/vms/, ""), { read: true, write: true });
    const born = bornOf(await file.stat());
    const found = await markerIn(file);
    if (found !== undefined) return { marker: found, born };
    const marker = crypto.randomUUID();
    await file.seek(0, Deno.SeekMode.Start);
    await file.write(new TextEncoder().encode(`${PREFIX}${marker}\n`));
    return { marker, born };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Files below a directory; what vanishes meanwhile is left out. */
export async function* walk(directory: string): AsyncGenerator<string> {
  let entries: Deno.DirEntry[];
  try {
    entries = await Array.fromAsync(Deno.readDir(directory));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  for (const { name, isDirectory } of entries) {
    if (isDirectory) yield* walk(`${directory}/${name}`);
    else yield `${directory}/${name}`;
  }
}

async function readFile(path: string): Promise<{ marker: string | undefined; born: number } | undefined> {
  try {
    using file = await Deno.open(path);
    return { marker: await markerIn(file), born: bornOf(await file.stat()) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function markerIn(file: Deno.FsFile): Promise<string | undefined> {
  const bytes = new Uint8Array(MARKER_BYTES);
  const text = new TextDecoder().decode(bytes.subarray(0, await file.read(bytes) ?? 0));
  const end = text.indexOf("\n");
  return text.startsWith(PREFIX) && end > 0 ? text.slice(PREFIX.length, end) : undefined;
}

function bornOf({ birthtime, mtime }: Deno.FileInfo): number {
  return (birthtime ?? mtime)?.getTime() ?? 0;
}

async function isOld(path: string): Promise<boolean> {
  const facts = await Deno.stat(path).catch(() => undefined);
  return facts !== undefined && Date.now() - (facts.mtime?.getTime() ?? 0) > LEFT_MS;
}

async function readEntry(
  path: string,
  entry: string,
  trashed: Map<string, { vm: string; path: string }>,
): Promise<void> {
  const text = await Deno.readTextFile(path).catch(() => "{}");
  const info = JSON.parse(text) as { vm?: string; files?: { n: number; path: string }[] };
  for (const { n, path } of info.files ?? []) trashed.set(`${entry}/${n}`, { vm: info.vm ?? "", path });
}
