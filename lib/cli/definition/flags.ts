import { Firmware } from "../../model/enums.ts";
import { VirtxError } from "../../model/error.ts";
import { MEMORY_MAX_MIB } from "../../model/limits.ts";
import { Issues } from "../../model/rules.ts";
import { allDisks, type CustomField, type Net, type Vmdef } from "../../model/vm.ts";
import { didYouMean } from "../../model/suggest.ts";
import { DEFAULT_CPUS, readCpus } from "./cpus.ts";
import {
  completeDisk,
  completeDisks,
  type DiskDraft,
  type NamedDisk,
  osDiskFirst,
  readDisk,
} from "./disks.ts";
import { Field } from "./field.ts";
import { diskPairs, numeric, pairs } from "./flag_values.ts";
import { Names } from "./names.ts";
import { readNet } from "./nets.ts";
import { namedIssues } from "./read.ts";

/** What the command line says of a definition, each as it was written. */
export interface DefinitionFlags {
  readonly name?: string | undefined;
  /** `4`, or `sockets=2,cores=4`. */
  readonly cpus?: string | undefined;
  readonly cpuModel?: string | undefined;
  readonly memory?: string | undefined;
  readonly hugepages?: boolean | undefined;
  readonly numaPlacement?: boolean | undefined;
  readonly firmware?: string | undefined;
  /** `size=20GiB`, `path=/vms/ds/x.qcow2,bus=sata`, a path or a size alone. */
  readonly disk?: readonly string[] | undefined;
  /** `bridge=br0,model=e1000`, `network=default`. */
  readonly net?: readonly string[] | undefined;
  /** A number, or `none`. */
  readonly vlan?: string | undefined;
  /** `auto`, `none` or a UUID. */
  readonly genid?: string | undefined;
  /** `owner=web team`. */
  readonly custom?: readonly string[] | undefined;
  /** Paths of disks that are to go. */
  readonly removeDisk?: readonly string[] | undefined;
  /** MAC addresses, or names of bridges and networks, whose interfaces are to go. */
  readonly removeNet?: readonly string[] | undefined;
  /** Names of custom fields that are to go. */
  readonly removeCustom?: readonly string[] | undefined;
}

/**
 * Makes a definition of flags alone, or changes one by them: a disk whose path the definition has is changed, another is added;
 * an interface likewise, by its MAC address, and a custom field by its name.
 *
 * @param old for a change, the definition that the VM has: what stays of it may be what no other VM could get
 * @throws VirtxError invalid, with an issue for all that is wrong, which names the flag
 */
export function definitionFromFlags(flags: DefinitionFlags, base?: Vmdef, old?: Vmdef): Vmdef {
  const issues = new Issues();
  const names = new Names();
  const def = new FlagReader(flags, base, issues, names).read();
  const found = issues.found.length > 0 ? issues.found : namedIssues(def, names, old);
  if (found.length === 0) return def;
  throw new VirtxError("invalid", "Cannot make a definition of a VM of these flags", { issues: found });
}

/** What to call the fields of a definition that a flag decides. */
const FLAG_OF: Readonly<Record<string, string>> = {
  "name": "--name",
  "cpudef": "--cpus",
  "cpudef.model": "--cpu-model",
  "memory": "--memory",
  "vlanid": "--vlan",
  "genid": "--genid",
  "osdisk": "--disk",
  "disks": "--disk",
  "nets": "--net",
  "custom": "--custom",
};

class FlagReader {
  readonly #flags: DefinitionFlags;
  readonly #base: Vmdef | undefined;
  readonly #issues: Issues;
  readonly #names: Names;

  constructor(flags: DefinitionFlags, base: Vmdef | undefined, issues: Issues, names: Names) {
    this.#flags = flags;
    this.#base = base;
    this.#issues = issues;
    this.#names = names;
    for (const [field, flag] of Object.entries(FLAG_OF)) names.add(field, () => flag);
  }

  read(): Vmdef {
    const { name = this.#base?.name ?? this.#missing("--name") ?? "" } = this.#flags;
    return {
      name,
      cpudef: this.#cpus(),
      memory: this.#memory(),
      numa: { placement: this.#flags.numaPlacement ?? this.#base?.numa.placement ?? false },
      ...this.#disks(name),
      nets: this.#nets(),
      vlanid: this.#vlan(),
      firmware: this.#firmware(),
      genid: this.#genid(),
      custom: this.#custom(),
    };
  }

  #field(name: string, value: unknown): Field {
    return new Field(this.#issues, name, value);
  }

  /** A flag that may be repeated, one field for each. */
  #fields(flag: string, texts: readonly string[] | undefined, values: typeof pairs): readonly Field[] {
    return (texts ?? []).map((text, index) => {
      const name = texts?.length === 1 ? flag : `${flag} #${index + 1}`;
      return this.#field(name, values(this.#issues, name, text));
    });
  }

  #missing(flag: string): undefined {
    this.#issues.add(flag, "must be given");
  }

  #cpus(): Vmdef["cpudef"] {
    const { cpus, cpuModel } = this.#flags;
    const base = {
      ...this.#base?.cpudef ?? DEFAULT_CPUS,
      ...(cpuModel !== undefined && { model: cpuModel }),
    };
    if (cpus === undefined) return base;
    const value = cpus.includes("=") ? pairs(this.#issues, "--cpus", cpus) : cpus;
    return readCpus(this.#field("--cpus", numeric(value)), base).cpudef;
  }

  #memory(): Vmdef["memory"] {
    const { memory, hugepages } = this.#flags;
    const base = this.#base?.memory;
    const total = memory === undefined
      ? base?.total ?? this.#missing("--memory")
      : this.#field("--memory", memory).size(1, MEMORY_MAX_MIB);
    return { total: total ?? 0, hp: hugepages ?? base?.hp ?? false };
  }

  #vlan(): number {
    const { vlan } = this.#flags;
    if (vlan === undefined) return this.#base?.vlanid ?? 0;
    return vlan === "none" ? 0 : this.#field("--vlan", numeric(vlan)).count() ?? 0;
  }

  #firmware(): Firmware {
    const { firmware } = this.#flags;
    if (firmware === undefined) return this.#base?.firmware ?? Firmware.bios;
    return this.#field("--firmware", firmware).word(Firmware) ?? Firmware.bios;
  }

  #genid(): string {
    const { genid } = this.#flags;
    if (genid === undefined) return this.#base?.genid ?? "";
    return genid === "none" ? "" : genid.toLowerCase();
  }

  /** Those that the definition has stay where they are; new ones come behind them. */
  #disks(vmName: string): Pick<Vmdef, "osdisk" | "disks"> {
    const { disk, removeDisk } = this.#flags;
    const base = this.#base === undefined ? [] : allDisks(this.#base);
    const drafts = this.#fields("--disk", disk, diskPairs).map(readDisk);
    const changes = new Map<string, DiskDraft>();
    for (const draft of drafts) {
      const { path } = draft.said;
      if (path === undefined) continue;
      if (changes.has(path)) draft.field.refuse(`is about ${path}, as another is`);
      changes.set(path, draft);
    }
    const kept = this.#without("--remove-disk", base, removeDisk, (disk) => [disk.path])
      .map((disk): NamedDisk => {
        const change = changes.get(disk.path);
        return { disk: { ...disk, ...change?.said }, naming: change?.naming ?? (() => disk.path) };
      });
    const known = new Set(kept.map(({ disk }) => disk.path));
    const added = completeDisks(
      drafts.filter(({ said }) => said.path === undefined || !known.has(said.path)),
      vmName,
      base.map(({ path }) => path),
    );
    const all = this.#base === undefined ? osDiskFirst(added) : [...kept, ...added];
    for (const [position, { naming }] of all.entries()) {
      this.#names.add(position === 0 ? "osdisk" : `disks[${position - 1}]`, naming);
    }
    const [osdisk, ...disks] = all.map(({ disk }) => disk);
    if (osdisk === undefined) this.#missing("--disk");
    return { osdisk: osdisk ?? completeDisk({ path: "" }), disks };
  }

  #nets(): readonly Net[] {
    const { net, removeNet } = this.#flags;
    const nets = this.#without(
      "--remove-net",
      this.#base?.nets ?? [],
      removeNet,
      ({ mac, name }) => [mac, name],
    )
      .map((net) => ({ net, naming: (key = "name") => `${net.name} ${key}` }));
    for (const field of this.#fields("--net", net, pairs)) {
      const read = readNet(field, false, nets.map(({ net }) => net));
      const same = nets.findIndex(({ net }) => net.mac !== "" && net.mac === read.net.mac);
      if (same === -1) nets.push(read);
      else nets[same] = read;
    }
    for (const [index, { naming }] of nets.entries()) this.#names.add(`nets[${index}]`, naming);
    return nets.map(({ net }) => net);
  }

  #custom(): readonly CustomField[] {
    const { custom = [], removeCustom } = this.#flags;
    const base = this.#without(
      "--remove-custom",
      this.#base?.custom ?? [],
      removeCustom,
      ({ name }) => [name],
    );
    const values = new Map(base.map(({ name, value }) => [name, value]));
    for (const text of custom) {
      const equals = text.indexOf("=");
      if (equals < 1) this.#issues.add("--custom", `must be name=value, not ${JSON.stringify(text)}`);
      else values.set(text.slice(0, equals), text.slice(equals + 1));
    }
    return [...values].map(([name, value], index) => {
      this.#names.add(`custom[${index}]`, () => `--custom ${name}`);
      return { name, value };
    });
  }

  /** What is left of a list without those that are to go; each of these must be there. */
  #without<T>(
    flag: string,
    items: readonly T[],
    gone: readonly string[] = [],
    namesOf: (item: T) => readonly string[],
  ): readonly T[] {
    const has = items.flatMap(namesOf).filter((name) => name !== "");
    for (const name of gone) {
      if (has.includes(name)) continue;
      this.#issues.add(flag, `names ${JSON.stringify(name)}, which the VM has not${didYouMean(name, has)}`);
    }
    return items.filter((item) => !namesOf(item).some((name) => gone.includes(name)));
  }
}
