import { VirtxError } from "../model/error.ts";
import type { FaultHook } from "../model/fault.ts";
import { isUuid } from "../model/uuid.ts";
import { AtomicDirectory } from "../posix/atomic_directory.ts";
import type { Tree } from "../posix/tree.ts";
import { writeIso9660 } from "./iso9660.ts";

const FILE = "seed.iso";

/** The volume label by which cloud-init's NoCloud finds its seed. */
const LABEL = "cidata";

/** The cloud-init seeds, /vms/ds/ci/<vm uuid>/seed.iso (protocol.md §3). */
export class Seeds {
  readonly #tree: Tree;
  readonly #fault: FaultHook;

  /** The tree is /vms/ds. Fault points: `written`, `renamed`, `removed`. */
  constructor(tree: Tree, fault: FaultHook) {
    this.#tree = tree;
    this.#fault = fault;
  }

  /** Replaces a VM's seed by one with these documents, by file name; atomic and durable. */
  async write(uuid: string, documents: Readonly<Record<string, string>>): Promise<void> {
    const encoder = new TextEncoder();
    const files = new Map(Object.entries(documents).map(([name, text]) => [name, encoder.encode(text)]));
    await this.#directoryOf(uuid).write(FILE, () => writeIso9660(LABEL, files));
  }

  /** Removes a VM's seed and its directory, if there are any. */
  async delete(uuid: string): Promise<void> {
    const directory = this.#directoryOf(uuid);
    await directory.sweep();
    await directory.remove(FILE);
    await this.#tree.files.rmdirIfEmpty(this.#tree.at(nameOf(uuid)));
  }

  #directoryOf(uuid: string): AtomicDirectory {
    // QEMU, which may not be root, has to get through the directory; libvirt gives it the file.
    return new AtomicDirectory({
      tree: this.#tree,
      directory: nameOf(uuid),
      mode: 0o755,
      fault: this.#fault,
    });
  }
}

function nameOf(uuid: string): string {
  if (!isUuid(uuid)) throw new VirtxError("invalid", `"${uuid}" is not the UUID of a VM`);
  return `ci/${uuid}`;
}
