import { VirtxError } from "../../model/error.ts";

/**
 * Fills a template in: {name}, {stats.cpu}, {disks.0.path} are fields, {{ and }} braces, \n and \t line break and tab.
 * @throws VirtxError invalid, naming what fields there are
 */
export function fillTemplate(template: string, record: unknown): string {
  return template.replace(/\{\{|\}\}|\\[nt\\]|\{([^{}]*)\}/g, (mark, path?: string) => {
    if (path !== undefined) return shown(lookUp(record, path));
    return MARKS[mark] ?? mark;
  });
}

const MARKS: Readonly<Record<string, string>> = {
  "{{": "{",
  "}}": "}",
  "\\n": "\n",
  "\\t": "\t",
  "\\\\": "\\",
};

function lookUp(record: unknown, path: string): unknown {
  let at = record;
  for (const part of path.split(".")) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, part)) {
      const there = typeof at === "object" && at !== null ? Object.keys(at).join(", ") : "nothing";
      throw new VirtxError(
        "invalid",
        `--output: there is no field {${path}}; in place of "${part}" there is: ${there}`,
      );
    }
    at = Reflect.get(at, part);
  }
  return at;
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
