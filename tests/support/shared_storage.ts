import { DiskBus, DiskDevice, DiskManagement, DiskProvisioning } from "../../lib/model/enums.ts";
import { silentLogger } from "../../lib/model/log.ts";
import { OWN_DIRECTORY } from "../../lib/model/paths.ts";
import type { Disk } from "../../lib/model/vm.ts";
import { Libc } from "../../lib/posix/libc.ts";
import type { Tree } from "../../lib/posix/tree.ts";
import { Storage, type StorageOptions } from "../../lib/storage/storage.ts";
import { localTree } from "./local_tree.ts";
import { TempDir } from "./temp_dir.ts";

const HOST = "00000000-0000-4000-8000-000000000008";

/** A directory of its own that stands for /vms, with /vms/ds in it, and a C library. */
export class SharedStorage implements AsyncDisposable {
  private constructor(readonly dir: TempDir, readonly libc: Libc) {}

  static async create(): Promise<SharedStorage> {
    const dir = await TempDir.create();
    await Deno.mkdir(dir.at("ds"));
    return new SharedStorage(dir, Libc.open());
  }

  get root(): string {
    return this.dir.path;
  }

  get tree(): Tree {
    return localTree(this.root, this.libc);
  }

  storage(options: Partial<StorageOptions> = {}): Storage {
    return new Storage({
      libc: this.libc,
      tree: this.tree,
      hostUuid: HOST,
      blockDevices: [],
      log: silentLogger,
      ...options,
    });
  }

  /** Where a path that begins with /vms really is. */
  at(path: string): string {
    return path.replace(/^\/vms/, this.root);
  }

  /** All files and directories below /vms/ds but for virtxd's own, in order, directories with a slash behind. */
  async names(): Promise<string[]> {
    const names: string[] = [];
    const walk = async (directory: string) => {
      for await (const { name, isDirectory } of Deno.readDir(`${this.root}/ds${directory}`)) {
        if (name === OWN_DIRECTORY) continue;
        names.push(`${directory}/${name}${isDirectory ? "/" : ""}`.slice(1));
        if (isDirectory) await walk(`${directory}/${name}`);
      }
    };
    await walk("");
    return names.sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.libc[Symbol.dispose]();
    await this.dir[Symbol.asyncDispose]();
  }
}

/** A managed virtio-blk disk. */
export function diskAt(path: string, fields: Partial<Disk> = {}): Disk {
  return {
    path,
    device: DiskDevice.disk,
    bus: DiskBus.virtioBlk,
    man: DiskManagement.managed,
    prov: DiskProvisioning.thin,
    size: 16,
    ...fields,
  };
}
