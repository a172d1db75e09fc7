import { Mutex } from "../model/mutex.ts";

/**
 * A file of lines that grows at its end and is now and then replaced as a whole. It outlasts the daemon, not the machine:
 * meant for a directory in memory (/run), where a line costs next to nothing and there is no disk to wait for.
 */
export class OperationFile implements Disposable {
  readonly #path: string;
  readonly #turns = new Mutex();
  #file: Deno.FsFile;
  #lines: number;

  private constructor(path: string, file: Deno.FsFile, lines: number) {
    this.#path = path;
    this.#file = file;
    this.#lines = lines;
  }

  /** Opens the file, which need not exist, and reads its lines, of which a crash may have cut off the last. */
  static async open(path: string): Promise<{ file: OperationFile; lines: string[] }> {
    const file = await Deno.open(path, { read: true, append: true, create: true, mode: 0o600 });
    try {
      const lines = (await Deno.readTextFile(path)).split("\n");
      if (lines.at(-1) === "") lines.pop();
      else await writeAll(file, "\n");
      return { file: new OperationFile(path, file, lines.length), lines };
    } catch (error) {
      file.close();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  /** How many lines there are. */
  get length(): number {
    return this.#lines;
  }

  async append(line: string): Promise<void> {
    await this.#turns.run(async () => {
      await writeAll(this.#file, line + "\n");
      this.#lines++;
    });
  }

  /** Puts these in place of all lines; a crash leaves the ones or the others. */
  async replace(lines: () => readonly string[]): Promise<void> {
    await this.#turns.run(async () => {
      const content = lines();
      const temporary = `${this.#path}.new`;
      await Deno.writeTextFile(temporary, content.map((line) => line + "\n").join(""), { mode: 0o600 });
      const file = await Deno.open(temporary, { append: true });
      await Deno.rename(temporary, this.#path);
      this.#file.close();
      this.#file = file;
      this.#lines = content.length;
    });
  }
}

async function writeAll(file: Deno.FsFile, text: string): Promise<void> {
  for (let rest = new TextEncoder().encode(text); rest.length > 0;) {
    rest = rest.subarray(await file.write(rest));
  }
}
