import { run } from "./run.ts";
import { TempDir } from "./temp_dir.ts";

/** A block device of the given size, backed by a sparse file. Needs root. */
export class LoopDevice implements AsyncDisposable {
  private constructor(readonly path: string, readonly backing: string, readonly dir: TempDir) {}

  static async create(sizeMiB: number): Promise<LoopDevice> {
    const dir = await TempDir.create();
    try {
      const backing = dir.at("backing");
      await Deno.writeFile(backing, new Uint8Array());
      await Deno.truncate(backing, sizeMiB << 20);
      return new LoopDevice((await run("losetup", "--find", "--show", backing)).trim(), backing, dir);
    } catch (error) {
      await dir[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("losetup", "--detach", this.path);
    await this.dir[Symbol.asyncDispose]();
  }
}

/** A mounted ext4 of the given size: for what a full file system does. Needs root. */
export class SmallFileSystem implements AsyncDisposable {
  private constructor(readonly path: string, readonly device: LoopDevice) {}

  static async create(sizeMiB: number): Promise<SmallFileSystem> {
    const device = await LoopDevice.create(sizeMiB);
    try {
      await run("mkfs.ext4", "-q", "-m", "0", device.path);
      const path = device.dir.at("mount");
      await Deno.mkdir(path);
      await run("mount", device.path, path);
      return new SmallFileSystem(path, device);
    } catch (error) {
      await device[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("umount", this.path);
    await this.device[Symbol.asyncDispose]();
  }
}
