import { must } from "../../../scripts/command.ts";
import { ROOT } from "../../../scripts/paths.ts";
import * as drills from "./drills.ts";

/** Some text of the program, which is there exactly once, and what stands there instead. */
interface Replacement {
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

/** A rule of virtxd that a build of its own does not keep, and the course of events that shows it. */
export interface BrokenRule {
  readonly name: string;
  readonly replacements: readonly Replacement[];
  readonly drill: drills.Drill;
  /** What the checker says then. */
  readonly account: RegExp;
}

export const BROKEN_RULES: readonly BrokenRule[] = [
  {
    name: "a record is made by a plain write instead of link(2)",
    replacements: [{
      file: "lib/registry/generations.ts",
      find: "await this.#files.link(temp, target);",
      put: "await this.#files.rename(temp, target);",
    }],
    drill: drills.overtake,
    account: /is a disk of VMs/,
  },
  {
    name: "a deletion takes what has the path",
    replacements: [{
      file: "lib/storage/file_mark.ts",
      find: "  if (one.inode !== two.inode || one.bytes !== two.bytes) return false;",
      put: "  if (one.bytes === two.bytes) return true;",
    }],
    drill: drills.sleepyDeletion,
    account: /lacks its disk|which nobody asked for|whose it was not/,
  },
  {
    name: "an update rebuilds the definition",
    replacements: [{
      file: "lib/vm/service.ts",
      find: "editDomainXml(before, plan.def, monitor.context(plan.def.firmware));",
      put: "buildDomainXml(before && uuid, plan.def, monitor.context(plan.def.firmware));",
    }],
    drill: drills.changeWhatOthersMade,
    account: /has lost what another tool put there/,
  },
  {
    name: "records of VMs have no generation",
    replacements: [
      {
        file: "lib/vm/vm_holders.ts",
        find: "return { value: { vm, host: monitor.uuid } };",
        put: "return undefined;",
      },
      {
        file: "lib/vm/vm_holders.ts",
        find: "return (await this.#o.records.read(vm))?.value?.host === this.#o.monitor.uuid;",
        put: "return await Promise.resolve(vm !== this.#o.monitor.uuid);",
      },
    ],
    drill: drills.raceToRegister,
    account: /is defined on virt\d and virt\d|is in the libvirts of/,
  },
  {
    name: "nobody looks which storage it is",
    replacements: [
      {
        file: "lib/storage/storage.ts",
        find: "return this.#files.refusal() ?? await this.#mount.check();",
        put: "return this.#files.refusal() ?? await Promise.resolve(undefined);",
      },
      {
        file: "lib/storage/mount.ts",
        find: "    restrictWrites(refusal);",
        put: "    if (refusal.message === '') restrictWrites(refusal);",
      },
      {
        file: "lib/storage/mount.ts",
        find: "    if (guard) restrictWrites(guard);",
        put: "    if (guard && id === '') restrictWrites(guard);",
      },
    ],
    drill: drills.withoutStorage,
    account: /on its own disk/,
  },
  {
    name: "hearsay goes before what this host's libvirt has",
    replacements: [{
      file: "lib/cluster/claims.ts",
      find: "return Number(isOwnGuest(b, ofB)) - Number(isOwnGuest(a, ofA)) ||",
      put: "return Number(isOwnGuest(a, ofA)) - Number(isOwnGuest(b, ofB)) ||",
    }],
    drill: drills.twins,
    account: /runs domain .*, and says of it/,
  },
  {
    name: "a deletion is told to nobody",
    replacements: [
      {
        file: "lib/cluster/local_origin.ts",
        find: "    if (!before && !after) return undefined;",
        put: "    if (!after) return undefined;",
      },
    ],
    drill: drills.shortLives,
    account: /which is nowhere/,
  },
  {
    name: "what was half done is forgotten",
    replacements: [{
      file: "lib/vm/change.ts",
      find: "    for (const { vm } of await this.#o.journal.list()) vms.add(vm);\n",
      put: "",
    }],
    drill: drills.halfDone,
    account: /\.journal\/.* is left/,
  },
];

const BUILD_MS = 600_000;
/** What the executable is built from. */
const SOURCES = ["deno.json", "deno.lock", "main.ts", "lib", "scripts"];

/**
 * The files of the program with the replacements made.
 * @throws if the text that is to be replaced is not there exactly once: the program has changed, and the rule has to follow
 */
export async function brokenSources(
  replacements: readonly Replacement[],
): Promise<readonly { readonly file: string; readonly broken: string }[]> {
  const sources = new Map<string, string>();
  for (const { file, find, put } of replacements) {
    const source = sources.get(file) ?? await Deno.readTextFile(`${ROOT}/${file}`);
    const [before, after, ...more] = source.split(find);
    if (before === undefined || after === undefined || more.length > 0) {
      throw new Error(`${file} does not have this exactly once: ${find}`);
    }
    sources.set(file, before + put + after);
  }
  return Array.from(sources, ([file, broken]) => ({ file, broken }));
}

/**
 * Builds an executable that breaks a rule, in a directory of its own.
 * @returns its path
 * @throws as {@link brokenSources}
 */
export async function buildBroken({ replacements }: BrokenRule, directory: string): Promise<string> {
  await must(["cp", "--archive", ...SOURCES.map((name) => `${ROOT}/${name}`), directory]);
  await Deno.mkdir(`${directory}/dist`);
  for await (const { name } of Deno.readDir(`${ROOT}/dist`)) {
    if (/^deno-.*\.gz$/.test(name)) await Deno.copyFile(`${ROOT}/dist/${name}`, `${directory}/dist/${name}`);
  }
  for (const { file, broken } of await brokenSources(replacements)) {
    await Deno.writeTextFile(`${directory}/${file}`, broken);
  }
  await must([Deno.execPath(), "run", "--allow-all", "--no-check", `${directory}/scripts/build.ts`], {
    cwd: directory,
    timeoutMs: BUILD_MS,
  });
  return `${directory}/dist/virtxd`;
}
