import { StartFailure } from "./start_failure.ts";

/**
 * Holds that only one virtxd manages a host: a second one would take the changes that the first has under way for
 * the remains of a crash, and undo them. The lock is flock(2) on a file in a directory that lasts as long as the host
 * is up; the kernel takes it away with the process, however that ends.
 */
export class InstanceLock implements Disposable {
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** @throws StartFailure `unavailable` if another holds it */
  static async take(directory: string, hostUuid: string): Promise<InstanceLock> {
    await Deno.mkdir(directory, { recursive: true, mode: 0o750 });
    const path = `${directory}/${hostUuid}.lock`;
    const file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o640 });
    try {
      if (!await file.tryLock(true)) {
        const holder = (await Deno.readTextFile(path)).trim();
        throw new StartFailure(
          "unavailable",
          `another virtxd (process ${holder}) manages this host already`,
          `there can be only one; end that one first. The lock is ${path}`,
        );
      }
      await file.truncate();
      await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
      return new InstanceLock(file);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
