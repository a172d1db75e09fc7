import type { Issues } from "../../model/rules.ts";

/**
 * `bridge=br0,model=e1000` as a table of texts. A comma that belongs to a value is written twice, as QEMU has it.
 * What is no such thing is reported under the flag's name.
 */
export function pairs(issues: Issues, flag: string, text: string): Readonly<Record<string, string>> {
  const table = new Map<string, string>();
  for (const part of text.split(/(?<!,),(?!,)/)) {
    const equals = part.indexOf("=");
    const key = part.slice(0, Math.max(0, equals)).trim();
    if (key === "") {
      issues.add(flag, `must be of the form key=value,key=value, which ${JSON.stringify(part)} is not`);
    } else if (table.has(key)) issues.add(`${flag} ${key}`, "is given twice");
    else table.set(key, part.slice(equals + 1).replaceAll(",,", ","));
  }
  return Object.fromEntries(table);
}

/** As {@link pairs}, for a disk, whose path or size may come first without its key: `20GiB`, `/vms/ds/x.qcow2,bus=sata`. */
export function diskPairs(issues: Issues, flag: string, text: string): Readonly<Record<string, string>> {
  if (text.startsWith("/")) return pairs(issues, flag, `path=${text}`);
  return pairs(issues, flag, /^\d/.test(text) ? `size=${text}` : text);
}

/** A number as such, in a table each but a `model`, as there is a processor called 486. */
export function numeric(value: string | Readonly<Record<string, string>>): unknown {
  if (typeof value === "string") return /^\d+$/.test(value) ? Number(value) : value;
  return Object.fromEntries(
    Object.entries(value).map(([key, value]) => [key, key === "model" ? value : numeric(value)]),
  );
}
