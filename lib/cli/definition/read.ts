import { Firmware } from "../../model/enums.ts";
import { type FieldIssue, VirtxError } from "../../model/error.ts";
import { MEMORY_MAX_MIB } from "../../model/limits.ts";
import { Issues } from "../../model/rules.ts";
import { validateVmdef } from "../../model/validate.ts";
import type { Vmdef } from "../../model/vm.ts";
import { copyDefinition } from "./copy.ts";
import { DEFAULT_CPUS, readCpus } from "./cpus.ts";
import { readCustom } from "./custom.ts";
import { completeDisk, completeDisks, osDiskFirst, readDisk } from "./disks.ts";
import { Field, type Table } from "./field.ts";
import { Names } from "./names.ts";
import { readNet } from "./nets.ts";

/** The keys of a definition, and how the API spells them. */
const KEYS = {
  name: [],
  cpus: ["cpudef"],
  memory: [],
  firmware: [],
  osdisk: [],
  disks: [],
  nets: [],
  vlan: ["vlanid"],
  numa: [],
  genid: [],
  custom: [],
} as const;
type Key = keyof typeof KEYS;

const MEMORY_KEYS = { size: ["total"], hugepages: ["hp"] } as const;
const REQUEST_KEYS = { vmdef: [], host: [] } as const;
/** A size without a unit is believed to be MiB from here on. */
const BARE_MIN_MIB = 64;

const NUMA_KEYS = { placement: [] } as const;

/** What is known of a definition from elsewhere. */
export interface ReadOptions {
  /** In place of the name in the text, which then may have none: a definition as a template. */
  readonly name?: string | undefined;
  /**
   * A definition of another name is made into one that a cluster can have beside it (see copyDefinition), and this is told
   * whose it was. Left out: it only gets the name.
   */
  readonly copied?: (from: string) => void;
  /** Paths that no new disk is to be given; for a change, those of the disks that the VM has. */
  readonly taken?: Iterable<string>;
  /** For a change, the definition that the VM has: what stays of it may be what no other VM could get. */
  readonly old?: Vmdef;
}

/**
 * Makes a definition of the values in a file: in the words of people, or as the API has it (protocol.md §1, Vmdef). What
 * has `cpudef` is the API's, and then whatever it leaves out is zero, as it is to the API.
 *
 * @param where it was read from, for messages
 * @throws VirtxError invalid, with an issue for all that is wrong
 */
export function readDefinition(value: unknown, where: string, options: ReadOptions = {}): Vmdef {
  const issues = new Issues();
  const names = new Names();
  const table = definitionField(new Field(issues, "", value))?.table(KEYS, "a table of name, memory, disks");
  const def = table && new Reader(table, names, options).read();
  const found = issues.found.length > 0 || def === undefined
    ? issues.found
    : namedIssues(def, names, options.old);
  if (def === undefined || found.length > 0) throw invalidDefinition(where, found);
  const { name, copied } = options;
  if (name === undefined || copied === undefined || name === def.name) return def;
  copied(def.name);
  return copyDefinition(def, name);
}

/** The definition in what may be the whole body of a request to create it (protocol.md §1, VmCreateOptions). */
function definitionField(field: Field): Field | undefined {
  if (!field.isTable || !field.entries().some(([key]) => key === "vmdef")) return field;
  const table = field.table(REQUEST_KEYS, "a table");
  const host = table?.get("host");
  if (host !== undefined && host.text() !== "") host.refuse("must be given on the command line instead");
  return table?.get("vmdef") ?? table?.missing("vmdef");
}

/** The rules of the model that a definition breaks, under the names that its fields have for whoever wrote it. */
export function namedIssues(def: Vmdef, names: Names, old?: Vmdef): readonly FieldIssue[] {
  return validateVmdef(def, old).map(({ field, message }) => ({ field: names.of(field), message }));
}

/** The error for all that is wrong with a text as a definition. */
export function invalidDefinition(where: string, issues: readonly FieldIssue[]): VirtxError {
  return new VirtxError("invalid", `Cannot use ${where} as the definition of a VM`, { issues });
}

class Reader {
  readonly #table: Table<Key>;
  readonly #names: Names;
  readonly #options: ReadOptions;
  readonly #sparse: boolean;

  constructor(table: Table<Key>, names: Names, options: ReadOptions) {
    this.#table = table;
    this.#names = names;
    this.#options = options;
    this.#sparse = table.spelling("cpus") === "cpudef";
    for (const key of ["name", "vlanid", "genid", "custom", "disks", "nets"]) {
      names.add(key, () => table.name(key));
    }
  }

  read(): Vmdef {
    const table = this.#table;
    const { name: given, copied } = this.#options;
    const own = given === undefined ? this.#required("name") : copied && this.#table.get("name");
    const name = own?.text() ?? given ?? "";
    return {
      name,
      cpudef: this.#cpus(),
      memory: this.#memory(),
      numa: { placement: this.#numa() },
      ...this.#disks(name),
      nets: this.#nets(),
      vlanid: table.get("vlan")?.count() ?? 0,
      firmware: table.get("firmware")?.word(Firmware) ?? Firmware.bios,
      genid: table.get("genid")?.text()?.toLowerCase() ?? "",
      custom: this.#custom(),
    };
  }

  #required(key: Key): Field | undefined {
    return this.#table.get(key) ?? this.#table.missing(key);
  }

  #cpus(): Vmdef["cpudef"] {
    const field = this.#table.get("cpus");
    if (field === undefined) return DEFAULT_CPUS;
    const { cpudef, naming } = readCpus(field, this.#sparse ? { ...DEFAULT_CPUS, model: "" } : DEFAULT_CPUS);
    this.#names.add("cpudef", naming);
    return cpudef;
  }

  #memory(): Vmdef["memory"] {
    const field = this.#required("memory");
    if (!field?.isTable) {
      this.#requireUnit(field);
      this.#names.add("memory", () => this.#table.name("memory"));
      return { total: field?.size(1, MEMORY_MAX_MIB) ?? 0, hp: false };
    }
    const table = field.table(MEMORY_KEYS, "a size or a table");
    this.#names.add("memory", table?.naming ?? field.naming);
    const size = table?.get("size") ?? table?.missing("size");
    this.#requireUnit(size);
    return { total: size?.size(1, MEMORY_MAX_MIB) ?? 0, hp: table?.get("hugepages")?.flag() ?? false };
  }

  /** A number alone is MiB; one so small was meant to be something else, but for the API, which knows no units. */
  #requireUnit(size: Field | undefined): void {
    const { value } = size ?? {};
    if (this.#sparse || typeof value !== "number" || value <= 0 || value >= BARE_MIN_MIB) return;
    size?.refuse(`must have a unit: ${value}MiB or ${value}GiB?`);
  }

  #numa(): boolean {
    const table = this.#table.get("numa")?.table(NUMA_KEYS, "a table such as {placement: true}");
    return table?.get("placement")?.flag() ?? false;
  }

  #nets(): Vmdef["nets"] {
    return (this.#table.get("nets")?.items() ?? []).map((item, index) => {
      const { net, naming } = readNet(item, this.#sparse, []);
      this.#names.add(`nets[${index}]`, naming);
      return net;
    });
  }

  #custom(): Vmdef["custom"] {
    const field = this.#table.get("custom");
    return (field === undefined ? [] : readCustom(field)).map(({ custom, naming }, index) => {
      this.#names.add(`custom[${index}]`, naming);
      return custom;
    });
  }

  /** The OS disk is what is called so, else what is usually meant. */
  #disks(vmName: string): Pick<Vmdef, "osdisk" | "disks"> {
    const osField = this.#table.get("osdisk");
    const fields = this.#table.get("disks")?.items() ?? [];
    for (const disk of osField === undefined ? fields : [osField, ...fields]) {
      this.#requireUnit(disk.entries().find(([key]) => key === "size")?.[1]);
    }
    const drafts = fields.map(readDisk);
    if (osField === undefined && drafts.length === 0) this.#table.missing(this.#sparse ? "osdisk" : "disks");
    const named = osField === undefined ? [] : [readDisk(osField)];
    const all = completeDisks([...named, ...drafts], vmName, this.#options.taken ?? [], this.#sparse);
    const ordered = named.length > 0 ? all : osDiskFirst(all);
    for (const [position, { naming }] of ordered.entries()) {
      this.#names.add(position === 0 ? "osdisk" : `disks[${position - 1}]`, naming);
    }
    const [osdisk = completeDisk({ path: "" }), ...disks] = ordered.map(({ disk }) => disk);
    return { osdisk, disks };
  }
}
