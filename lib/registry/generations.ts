import { v4 as newUuid } from "uuid";
import { z } from "zod";
import { VirtxError } from "../model/error.ts";
import { type FaultHook, noFault } from "../model/fault.ts";
import { isUuid } from "../model/uuid.ts";
import { errnoCode } from "../posix/errno.ts";
import type { Files } from "../posix/files.ts";
import { onStorage } from "../posix/storage_error.ts";
import type { Tree } from "../posix/tree.ts";

/** Of the files. A reader that meets a greater one leaves the record alone. */
const FORMAT = 1;
/** Far more than a record has. */
const LIMIT_BYTES = 64 << 10;
const DIRECTORY_MODE = 0o750;
const FILE_MODE = 0o640;
const GENERATION_NAME = /^([1-9]\d{0,14})\.json$/;
const KEY = /^[0-9a-f-]{32,36}$/;
const TEMP_NAME = /^\..*\.tmp$/;
/** What is older than that has no writer any more. */
const LEFTOVER_MS = 3_600_000;
/** What has been free for so long may be removed: far longer than any host sleeps between two steps of a write. */
const FREE_MS = 7 * 86_400_000;
/** So many keys are looked at in one sweep. */
const SWEPT = 200;
/** How often a look, or a replacement, is repeated that others' changes upset. */
const ATTEMPTS = 10;

/** What a key has now. */
export interface Generation<T> {
  readonly generation: number;
  /** Of the write that made it, a UUID. */
  readonly write: string;
  /** Undefined: the key had a value, and is free. */
  readonly value: T | undefined;
  /** How long it has had it, by the clock of the storage; if that was put back since, how far from now it was made by it. */
  readonly ageMs: number;
}

export interface GenerationsOptions<T> {
  /** The shared storage, /vms. */
  readonly tree: Tree;
  /** Named from there. */
  readonly directory: string;
  /** What a value looks like in its file. */
  readonly schema: z.ZodType<T>;
  /** What is kept, in messages: "the owner of a disk". */
  readonly called: string;
  /** Fault points: `written`, `linked`, `decided`, `replaced`, `forgotten`. */
  readonly fault?: FaultHook | undefined;
}

/**
 * Values on shared storage that several hosts replace by compare-and-set, so that of two who want a key at the same instant
 * one gets it.
 *
 * Each key has a directory, and in it a file for each generation, `<g>.json`; the highest is the value. Generation g + 1 is
 * made by link(2) from a file that is complete, and is never changed. link(2) is decided by the server, where O_EXCL and
 * rename(2) are of no use: the one leaves half a file, the other overwrites. What the server does not decide:
 * - Its answer may be lost, and the repeated call then finds what the first one made. So each write has an id of its own,
 *   and the content of the file tells whose it is.
 * - Older generations are removed, so their names are free for a host that has slept since it looked. So whoever has linked
 *   looks again: if there is a later one, or if the one that it replaced is gone or is another write's, it has come too late and
 *   takes its file back.
 * - A directory may be listed from a cache, or be cached as absent. A change that this host makes in a directory ends that;
 *   so each look makes and removes a name of its own first. Its time is what age is measured from: hosts' clocks differ.
 *
 * A key's directory stays when its value is free, so that its generations go on, until {@link sweep} removes it. Then they begin
 * anew; who has slept meanwhile is not misled by that, since it knows the write that it has seen.
 *
 * Errors: VirtxError of kind `storage`; `conflict`, if a file is of a newer format or cannot be understood: such a record is
 * never replaced.
 */
export class Generations<T> {
  readonly #o: GenerationsOptions<T>;
  readonly #fault: FaultHook;
  readonly #stored: z.ZodType<{ readonly write: string; readonly value: T | null }>;

  constructor(options: GenerationsOptions<T>) {
    this.#o = options;
    this.#fault = options.fault ?? noFault;
    this.#stored = z.strictObject({
      format: z.literal(FORMAT),
      write: z.string().refine(isUuid),
      value: options.schema.nullable(),
    });
  }

  /** What a key has; undefined: it never had anything. */
  async read(key: string): Promise<Generation<T> | undefined> {
    return await onStorage(`Cannot read ${this.#o.called}`, async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const found = await this.#look(this.#directory(key));
        if (found !== "changing") return found;
      }
      throw new VirtxError("unavailable", `${this.#directory(key)} changes all the time; try again`);
    });
  }

  /** The keys that have ever had a value, as {@link glance} has them. */
  async keys(): Promise<string[]> {
    return await onStorage(
      `Cannot list ${this.#o.called}`,
      async () => (await this.#o.tree.directories(this.#o.directory)).filter((name) => KEY.test(name)),
    );
  }

  /**
   * The generation that a key has, 0 if it never had any, as far as a cache of the directory tells: late by a minute at most.
   * Costs so little that it can be asked again and again.
   */
  async glance(key: string): Promise<number> {
    return await onStorage(`Cannot read ${this.#o.called}`, async () => {
      const { tree } = this.#o;
      const directory = this.#directory(key);
      if ((await tree.missing(directory)).length > 0) return 0;
      return Math.max(0, ...generationsIn(await this.#files.names(tree.at(directory))));
    });
  }

  /**
   * Gives a key the value that is decided on by what it has now; anew whenever another host was quicker.
   * @param decide undefined: the key stays as it is; its value undefined: it becomes free
   * @returns what the key had before; of one that stays, what it has
   * @throws VirtxError `unavailable`, if others are always quicker; what `decide` throws
   */
  async update(
    key: string,
    decide: (now: Generation<T> | undefined) => Promise<{ readonly value: T | undefined } | undefined>,
  ): Promise<Generation<T> | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const now = await this.read(key);
      const next = await decide(now);
      if (next === undefined) return now;
      if (await this.replace(key, now?.generation ?? 0, next.value, now?.write)) return now;
    }
    const message = `Cannot record ${this.#o.called}: other hosts change it all the time; try again`;
    throw new VirtxError("unavailable", message, { retryAfterS: 1 });
  }

  /**
   * Gives a key its next value, on stable storage, if the generation that it has is still this one (0: it never had any).
   * @param value undefined: the key becomes free
   * @param seen the write that made that generation, where it is known
   * @returns false: another host was quicker; read again
   */
  async replace(key: string, expected: number, value: T | undefined, seen?: string): Promise<boolean> {
    return await onStorage(`Cannot record ${this.#o.called}`, async () => {
      const { tree } = this.#o;
      const directory = this.#directory(key);
      const write = newUuid();
      const temp = tree.at(`${directory}/.${write}.tmp`);
      const target = tree.at(`${directory}/${expected + 1}.json`);
      const text = JSON.stringify({ format: FORMAT, write, value: value ?? null });
      await tree.make(directory, DIRECTORY_MODE);
      let linked = false;
      try {
        await this.#files.write(temp, new TextEncoder().encode(text), FILE_MODE);
        await this.#fault("written");
        linked = await this.#link(temp, target, write);
      } catch (error) {
        if (errnoCode(error) !== "ENOENT") throw error; // else the directory has been removed meanwhile
      } finally {
        await this.#files.unlink(temp).catch(() => {}); // what failed before is the one to tell
      }
      if (!linked) return false;
      await this.#fault("linked");
      const numbers = generationsIn(await this.#files.names(tree.at(directory)));
      const isNext = Math.max(...numbers) === expected + 1 && (expected === 0 || numbers.includes(expected));
      const before = tree.at(`${directory}/${expected}.json`);
      if (!isNext || (seen !== undefined && !await this.#isOf(before, seen))) {
        await this.#files.unlink(target);
        return false;
      }
      await this.#files.syncDirectory(tree.at(directory));
      await this.#fault("decided");
      for (const older of numbers.filter((number) => number <= expected)) {
        await this.#files.unlink(tree.at(`${directory}/${older}.json`));
      }
      await this.#fault("replaced");
      return true;
    });
  }

  /**
   * Removes keys that have been free for long, so that they do not become ever more; some of them, and others the next time. Any
   * host may do that at any time.
   */
  async sweep(): Promise<void> {
    const { tree, directory, called } = this.#o;
    await onStorage(`Cannot tidy ${called}`, async () => {
      const keys = await this.keys();
      if (keys.length === 0) return;
      const now = await this.#refresh(directory);
      const first = Math.floor(Math.random() * keys.length);
      for (const key of [...keys.slice(first), ...keys.slice(0, first)].slice(0, SWEPT)) {
        const at = this.#directory(key);
        const [name, ...others] = generationsIn(await this.#files.names(tree.at(at)));
        if (others.length > 0) continue;
        if (name === undefined) {
          await this.read(key); // removes what crashes left of writes
          await this.#files.rmdirIfEmpty(tree.at(at));
          continue;
        }
        const facts = await this.#files.lstat(tree.at(`${at}/${name}.json`));
        if (facts && now !== undefined && now - facts.modifiedAt > FREE_MS) await this.#forget(key);
      }
    });
  }

  /**
   * Removes a key if it has been free for long. It is made free once more for that, so that of what is removed by its name it is
   * known whose it is. A host that writes to the key at this instant finds what it has seen gone, or the directory, and begins
   * again.
   */
  async #forget(key: string): Promise<void> {
    const { tree } = this.#o;
    const directory = this.#directory(key);
    try {
      const now = await this.read(key);
      if (now === undefined || now.value !== undefined || now.ageMs < FREE_MS) return;
      if (!await this.replace(key, now.generation, undefined, now.write)) return;
      await this.#fault("forgotten");
      await this.#files.unlink(tree.at(`${directory}/${now.generation + 1}.json`));
      await this.#files.rmdirIfEmpty(tree.at(directory));
    } catch (error) {
      if (!(error instanceof VirtxError) || error.kind !== "conflict") throw error; // else it is to stay
    }
  }

  async #look(directory: string): Promise<Generation<T> | undefined | "changing"> {
    const { tree } = this.#o;
    if (!await this.#exists(directory)) return undefined;
    const now = await this.#refresh(directory);
    if (now === undefined) return "changing";
    const names = await this.#files.names(tree.at(directory));
    for (const name of names.filter((name) => TEMP_NAME.test(name))) {
      await this.#unlinkLeftover(tree.at(`${directory}/${name}`), now);
    }
    const numbers = generationsIn(names);
    if (numbers.length === 0) return undefined;
    const generation = Math.max(...numbers);
    const path = tree.at(`${directory}/${generation}.json`);
    const facts = await this.#files.lstat(path);
    const content = await this.#content(path);
    if (!facts || !content) return "changing"; // a later one has come
    const { value, write } = this.#parse(path, content);
    return { generation, write, value: value ?? undefined, ageMs: Math.abs(now - facts.modifiedAt) };
  }

  /** Whether a key has a directory, whatever a cache says. */
  async #exists(directory: string): Promise<boolean> {
    const { tree } = this.#o;
    if ((await tree.missing(directory)).length === 0) return true;
    await tree.make(this.#o.directory, DIRECTORY_MODE);
    await this.#refresh(this.#o.directory);
    return (await tree.missing(directory)).length === 0;
  }

  /** Has what is cached of a directory forgotten. The time on the clock of the storage; undefined: it is gone. */
  async #refresh(directory: string): Promise<number | undefined> {
    const temp = this.#o.tree.at(`${directory}/.${newUuid()}.tmp`);
    try {
      await this.#files.create(temp, FILE_MODE);
    } catch (error) {
      if (errnoCode(error) === "ENOENT") return undefined;
      throw error;
    }
    const facts = await this.#files.lstat(temp);
    await this.#files.unlink(temp);
    return facts?.modifiedAt;
  }

  /** Removes what a crash left of a write; of one that is under way it is younger. */
  async #unlinkLeftover(temp: string, now: number): Promise<void> {
    const facts = await this.#files.lstat(temp);
    if (facts && now - facts.modifiedAt > LEFTOVER_MS) await this.#files.unlink(temp);
  }

  /** Whether the generation was made by this write. */
  async #link(temp: string, target: string, write: string): Promise<boolean> {
    try {
      await this.#files.link(temp, target);
      return true;
    } catch (error) {
      if (await this.#isOf(target, write)) return true;
      if (errnoCode(error) === "EEXIST") return false;
      throw error;
    }
  }

  /** Whether a file is there and was made by this write. */
  async #isOf(path: string, write: string): Promise<boolean> {
    const content = await this.#content(path);
    return content !== undefined && new TextDecoder().decode(content).includes(`"write":"${write}"`);
  }

  async #content(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    try {
      return await this.#files.read(path, LIMIT_BYTES);
    } catch (error) {
      if (errnoCode(error) !== "EFBIG") throw error;
      throw new VirtxError("conflict", `${path} is larger than any record; ${BY_HAND}`);
    }
  }

  #parse(
    path: string,
    content: Uint8Array<ArrayBuffer>,
  ): { readonly write: string; readonly value: T | null } {
    let record: unknown;
    try {
      record = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
    } catch {
      throw new VirtxError("conflict", `${path} is not JSON; ${BY_HAND}`);
    }
    const format = z.object({ format: z.int() }).safeParse(record).data?.format;
    if (format !== undefined && format > FORMAT) {
      const message = `${path} is of format ${format}, and this virtxd knows ${FORMAT}; update it`;
      throw new VirtxError("conflict", message);
    }
    const result = this.#stored.safeParse(record);
    if (result.success) return result.data;
    const field = result.error.issues[0]?.path.join(".") || "it";
    throw new VirtxError("conflict", `${path} cannot be understood (${field}); ${BY_HAND}`);
  }

  #directory(key: string): string {
    if (!KEY.test(key)) throw new VirtxError("internal", `"${key}" is not a key`);
    return `${this.#o.directory}/${key}`;
  }

  get #files(): Files {
    return this.#o.tree.files;
  }
}

function generationsIn(names: readonly string[]): number[] {
  return names.flatMap((name) => GENERATION_NAME.exec(name)?.slice(1).map(Number) ?? []);
}

/** What is to be done about a file that no virtxd has written. */
const BY_HAND = "it is left alone; remove it by hand if no host needs it";
