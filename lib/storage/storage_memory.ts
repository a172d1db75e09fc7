import { z } from "zod";
import { errorMessage, VirtxError } from "../model/error.ts";
import { isUuid } from "../model/uuid.ts";

/** Which storage a host used last, and how it was mounted there. */
export interface RememberedStorage {
  readonly id: string;
  /** Whether it was a mount, rather than a directory of the host's own. */
  readonly mounted: boolean;
  /** Whether its directory of images was a mount of its own. */
  readonly imagesMounted: boolean;
}

const Stored = z.object({
  id: z.string().refine(isUuid),
  mounted: z.boolean(),
  imagesMounted: z.boolean(),
});

/**
 * What this host remembers of its storage, in a file of its own that outlasts a reboot: otherwise an empty directory, where a
 * mount has failed, would pass for new storage. Whoever really replaces the storage removes the file.
 */
export class StorageMemory {
  /** @param path of a file whose directory is made if need be */
  constructor(readonly path: string) {}

  /**
   * Undefined: there is nothing, or nothing that can be understood.
   * @throws VirtxError `unavailable`: it cannot be read
   */
  async read(): Promise<RememberedStorage | undefined> {
    let text;
    try {
      text = await Deno.readTextFile(this.path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      const message = `Cannot read ${this.path}, which says what storage this host has: ${
        errorMessage(error)
      }`;
      throw new VirtxError("unavailable", message, { cause: error });
    }
    try {
      return Stored.safeParse(JSON.parse(text)).data;
    } catch {
      return undefined; // cut by a crash of the machine
    }
  }

  /** Throws what Deno's file functions throw. */
  async write(remembered: RememberedStorage): Promise<void> {
    await Deno.mkdir(this.path.slice(0, this.path.lastIndexOf("/")), { recursive: true, mode: 0o700 });
    const temporary = `${this.path}.new`;
    {
      using file = await Deno.open(temporary, { write: true, create: true, truncate: true, mode: 0o600 });
      await file.write(new TextEncoder().encode(JSON.stringify(remembered) + "\n"));
      await file.sync();
    }
    await Deno.rename(temporary, this.path);
  }
}
