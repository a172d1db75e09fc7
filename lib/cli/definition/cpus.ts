import type { Cpudef } from "../../model/vm.ts";
import type { Field, Table } from "./field.ts";
import type { Naming } from "./names.ts";

/** What guests get unless something else is said: all that their host can do, and they can still be moved to others like it. */
export const DEFAULT_CPU_MODEL = "host-model";

/** Nothing said: one CPU. */
export const DEFAULT_CPUS: Cpudef = { model: DEFAULT_CPU_MODEL, nodes: 1, sockets: 1, cores: 1, threads: 1 };

const KEYS = { model: [], nodes: [], sockets: [], cores: [], threads: [] } as const;

/** `4` is one socket of four cores; else a table of model and topology. Fields that cannot be read are those of `base`. */
export function readCpus(field: Field, base: Cpudef = DEFAULT_CPUS): { cpudef: Cpudef; naming: Naming } {
  if (!field.isTable) {
    const cores = field.count();
    const cpudef = { ...base, nodes: 1, sockets: 1, threads: 1, cores: cores ?? 1 };
    return { cpudef, naming: field.naming };
  }
  const table = field.table(KEYS, "a number or a table");
  const cpudef = {
    model: table?.get("model")?.text() ?? base.model,
    nodes: count(table, "nodes"),
    sockets: count(table, "sockets"),
    cores: count(table, "cores"),
    threads: count(table, "threads"),
  };
  return { cpudef, naming: table?.naming ?? field.naming };
}

/** 0 is the API's way to leave it out. */
function count(table: Table<keyof typeof KEYS> | undefined, key: keyof typeof KEYS): number {
  return table?.get(key)?.count() || 1;
}
