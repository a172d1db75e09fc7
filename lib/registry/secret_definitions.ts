import { z } from "zod";
import { errorMessage, VirtxError } from "../model/error.ts";
import { type FaultHook, noFault } from "../model/fault.ts";
import { isUuid } from "../model/uuid.ts";

/** The definitions of a change with their passwords. */
export interface SecretDefinition {
  /** Undefined: there is none. */
  readonly oldXml?: string | undefined;
  readonly newXml: string;
}

const Stored: z.ZodType<SecretDefinition> = z.strictObject({
  oldXml: z.string().optional(),
  newXml: z.string(),
});

const SUFFIX = ".json";
/** Until then what no change seems to need may be of one whose record was set aside. */
const OLD_MS = 24 * 3_600_000;

/**
 * What finishing or undoing a change takes and nobody else may read: definitions with their passwords. One file for each
 * change in a directory of the host's own, never on shared storage, where the journal has the same without passwords.
 * Errors: VirtxError of kind `storage`.
 */
export class SecretDefinitions {
  readonly #fault: FaultHook;

  /**
   * @param directory absolute; made for root alone when first written to
   * @param fault fault points: `secrets.written`, `secrets.removed`
   */
  constructor(readonly directory: string, fault: FaultHook = noFault) {
    this.#fault = fault;
  }

  /** Keeps the definitions of a change; they are on stable storage when this resolves. */
  async write(change: string, definition: SecretDefinition): Promise<void> {
    await this.#whole(`Cannot keep the passwords of a definition in ${this.directory}`, async () => {
      await Deno.mkdir(this.directory, { recursive: true, mode: 0o700 });
      await Deno.chmod(this.directory, 0o700);
      const path = this.#path(change);
      const temporary = `${path}.new`;
      {
        using file = await Deno.open(temporary, { write: true, create: true, truncate: true, mode: 0o600 });
        const bytes = new TextEncoder().encode(JSON.stringify(definition));
        for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
        await file.sync();
      }
      await Deno.rename(temporary, path);
      await this.#sync();
    });
    await this.#fault("secrets.written");
  }

  /** Undefined: there is none, or none that can be understood. */
  async read(change: string): Promise<SecretDefinition | undefined> {
    const text = await this.#whole(
      `Cannot read ${this.#path(change)}`,
      () => unlessMissing(Deno.readTextFile(this.#path(change))),
    );
    if (text === undefined) return undefined;
    try {
      return Stored.safeParse(JSON.parse(text)).data;
    } catch {
      return undefined; // cut by a crash of the machine
    }
  }

  /** Forgets them; none is fine. */
  async remove(change: string): Promise<void> {
    await this.#whole(
      `Cannot remove ${this.#path(change)}`,
      () => unlessMissing(Deno.remove(this.#path(change))),
    );
    await this.#fault("secrets.removed");
  }

  /** Removes what is a day old, but for that of the changes that are open. */
  async sweep(open: ReadonlySet<string>, now = Date.now()): Promise<void> {
    await this.#whole(`Cannot tidy ${this.directory}`, () =>
      unlessMissing((async () => {
        for await (const { name } of Deno.readDir(this.directory)) {
          const path = `${this.directory}/${name}`;
          if (name.endsWith(SUFFIX) && open.has(name.slice(0, -SUFFIX.length))) continue;
          const { mtime } = await Deno.lstat(path);
          if (now - (mtime?.getTime() ?? 0) > OLD_MS) await Deno.remove(path);
        }
      })()));
  }

  async #sync(): Promise<void> {
    using directory = await Deno.open(this.directory, { read: true });
    await directory.sync();
  }

  #path(change: string): string {
    if (!isUuid(change)) throw new VirtxError("internal", `"${change}" is not the id of a change`);
    return `${this.directory}/${change}${SUFFIX}`;
  }

  async #whole<T>(what: string, task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (error) {
      throw new VirtxError("storage", `${what}: ${errorMessage(error)}`, { cause: error });
    }
  }
}

async function unlessMissing<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
