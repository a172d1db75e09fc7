/** A directory of its own for one test, removed with all that is in it: `await using dir = await TempDir.create()`. */
export class TempDir implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async create(): Promise<TempDir> {
    return new TempDir(await Deno.makeTempDir({ prefix: "virtxd-test-" }));
  }

  /** A path in it. */
  at(name: string): string {
    return `${this.path}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
