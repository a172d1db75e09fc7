import { VirtxError } from "../model/error.ts";
import { type FaultHook, noFault } from "../model/fault.ts";
import { isUuid } from "../model/uuid.ts";
import { AtomicDirectory } from "../posix/atomic_directory.ts";
import { onStorage } from "../posix/storage_error.ts";
import type { Tree } from "../posix/tree.ts";

/** How many definitions are read at a time when all are. */
const READS = 8;

/** What a host has recorded of a VM. */
export interface RecordedDefinition {
  readonly host: string;
  readonly vm: string;
  readonly xml: string;
  /** Its path. */
  readonly file: string;
}

/** More than any domain definition has; what is larger in the registry is not one. */
const XML_LIMIT_BYTES = 4 << 20;

const SUFFIX = ".xml";

export interface RegistryOptions {
  /** The shared storage, /vms. */
  readonly tree: Tree;
  /** The host whose VMs these are. */
  readonly hostUuid: string;
  /** Fault points: `registry.written`, `registry.renamed`, `registry.linked`, `registry.removed`. */
  readonly fault?: FaultHook | undefined;
}

/**
 * The definitions of one host's VMs on shared storage, so that another host can take them over: the inactive domain
 * XML in /vms/xml/<host uuid>/<vm uuid>.xml (protocol.md §3). Each file is replaced atomically and durably.
 * Errors: VirtxError of kind `storage`.
 */
export class Registry {
  readonly #o: RegistryOptions;
  readonly #files: AtomicDirectory;
  /** Writes whose turn has not come yet, by VM: what comes after them takes their place, however long storage takes. */
  readonly #waiting = new Map<string, { xml: string; written: Promise<void> }>();

  constructor(options: RegistryOptions) {
    const { tree, hostUuid, fault = noFault } = this.#o = options;
    this.#files = new AtomicDirectory({
      tree,
      directory: directoryOf(hostUuid),
      fault: (point) => fault(`registry.${point}`),
    });
  }

  /** Records a definition, over an older one; it is on stable storage when this resolves. */
  async write(uuid: string, xml: string): Promise<void> {
    const waiting = this.#waiting.get(uuid);
    if (waiting) {
      waiting.xml = xml;
      return await waiting.written;
    }
    const write = { xml, written: Promise.resolve() };
    this.#waiting.set(uuid, write);
    write.written = onStorage(
      `Cannot write the definition of VM ${uuid} to the registry`,
      () =>
        this.#files.write(fileName(uuid), () => {
          this.#supersede(uuid, write);
          return new TextEncoder().encode(write.xml);
        }),
    ).finally(() => this.#supersede(uuid, write));
    return await write.written;
  }

  /** The recorded definition; undefined if there is none. */
  async read(uuid: string): Promise<string | undefined> {
    return await onStorage(`Cannot read the definition of VM ${uuid} from the registry`, async () => {
      const content = await this.#files.read(fileName(uuid), XML_LIMIT_BYTES);
      return content && this.#decode(uuid, content);
    });
  }

  /** Forgets a definition; none is fine. */
  async remove(uuid: string): Promise<void> {
    this.#waiting.delete(uuid); // what is written from now on comes after this
    await onStorage(
      `Cannot remove the definition of VM ${uuid} from the registry`,
      () => this.#files.remove(fileName(uuid)),
    );
  }

  /**
   * Gives a definition over to another host's directory, as a migrated VM's has to be (protocol.md §3). If that host has one
   * already, which is then the newer, only ours goes. So at any moment there is at least one. None is fine.
   */
  async handOver(uuid: string, host: string): Promise<void> {
    this.#waiting.delete(uuid);
    await onStorage(
      `Cannot give the definition of VM ${uuid} over to host ${host}`,
      () => this.#files.moveUnlessThere(fileName(uuid), directoryOf(host)),
    );
  }

  /** That of another host. */
  of(host: string): Registry {
    return new Registry({ tree: this.#o.tree, hostUuid: host });
  }

  /** Takes a definition over from another host's directory, see {@link handOver}. */
  async takeFrom(host: string, uuid: string): Promise<void> {
    await this.of(host).handOver(uuid, this.#o.hostUuid);
  }

  /**
   * Removes the directory of a host that is gone, unless something is in it. Should it come back after all, it makes it again, and
   * what it writes at this instant, too.
   */
  async removeIfEmpty(): Promise<void> {
    const { tree, hostUuid } = this.#o;
    await onStorage(`Cannot remove the directory of host ${hostUuid}`, async () => {
      const directory = directoryOf(hostUuid);
      for (const name of await tree.directories(directory)) {
        await tree.files.rmdirIfEmpty(tree.at(`${directory}/${name}`));
      }
      await tree.files.rmdirIfEmpty(tree.at(directory));
    });
  }

  /** The hosts that have a directory for definitions. */
  async hosts(): Promise<string[]> {
    return await onStorage(
      "Cannot list the registries",
      async () => (await this.#o.tree.directories("xml")).filter(isUuid),
    );
  }

  /** The definitions that all other hosts have recorded; one that vanishes meanwhile is left out. */
  async *ofOthers(): AsyncGenerator<RecordedDefinition> {
    const { tree, hostUuid } = this.#o;
    for (const host of (await this.hosts()).filter((host) => host !== hostUuid)) {
      const registry = this.of(host);
      const vms = await registry.list();
      for (let at = 0; at < vms.length; at += READS) {
        const read = vms.slice(at, at + READS).map(async (vm) => ({ vm, xml: await registry.read(vm) }));
        for (const { vm, xml } of await Promise.all(read)) {
          if (xml !== undefined) {
            yield { host, vm, xml, file: tree.at(`${directoryOf(host)}/${fileName(vm)}`) };
          }
        }
      }
    }
  }

  /** What all hosts, this one too, have recorded of a VM. */
  async everywhere(vm: string): Promise<readonly RecordedDefinition[]> {
    const { tree } = this.#o;
    return await onStorage(`Cannot read the registries' definitions of VM ${vm}`, async () => {
      const found = await Promise.all((await this.hosts()).map(async (host) => {
        const xml = await this.of(host).read(vm);
        return xml === undefined
          ? []
          : [{ host, vm, xml, file: tree.at(`${directoryOf(host)}/${fileName(vm)}`) }];
      }));
      return found.flat();
    });
  }

  /** The UUIDs of all VMs that are recorded; files that are not named like one do not count. */
  async list(): Promise<string[]> {
    return await onStorage("Cannot list the registry", async () => {
      const names = await this.#files.names();
      return names.filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length))
        .filter(isUuid);
    });
  }

  /** Whoever has to repair the file must find it: it may be in the directory of a host that is gone. */
  #decode(uuid: string, content: Uint8Array<ArrayBuffer>): string {
    const { tree, hostUuid } = this.#o;
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(content);
    } catch (cause) {
      const file = tree.at(`${directoryOf(hostUuid)}/${fileName(uuid)}`);
      throw new TypeError(`"${file}" is not text in UTF-8`, { cause });
    }
  }

  /** A write that waits no more is not to be changed. */
  #supersede(uuid: string, write: unknown): void {
    if (this.#waiting.get(uuid) === write) this.#waiting.delete(uuid);
  }

  /**
   * Removes what a crash left of writes that it interrupted; for the start of the daemon. Their number. The directory is there from
   * then on, for hosts of the prototype, which rename the file of a VM into it that they migrate to this host (protocol.md §3).
   */
  async sweep(): Promise<number> {
    return await onStorage("Cannot tidy the registry", async () => {
      await this.#files.make();
      return await this.#files.sweep();
    });
  }
}

function directoryOf(host: string): string {
  if (!isUuid(host)) throw new VirtxError("internal", `"${host}" is not the UUID of a host`);
  return `xml/${host}`;
}

function fileName(uuid: string): string {
  if (!isUuid(uuid)) throw new VirtxError("invalid", `"${uuid}" is not the UUID of a VM`);
  return uuid + SUFFIX;
}
