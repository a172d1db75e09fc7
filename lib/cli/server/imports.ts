import { Fields } from "./fields.ts";

/** What a host says to an import. */
export interface ImportAnswer {
  /** UUID and name of the host. */
  readonly host: string;
  readonly name: string;
  readonly vm: string;
  readonly vmname: string;
  readonly fits: boolean;
  readonly keeps: readonly string[];
  readonly changes: readonly string[];
  readonly obstacles: readonly string[];
  readonly warnings: readonly string[];
}

/** Reads the answer of VmImport with dry_run. */
export function readImport(body: unknown): ImportAnswer {
  const answer = new Fields(body, "what the host says to the import");
  const texts = (name: string) => {
    const value = answer.raw(name);
    return Array.isArray(value) ? value.map(String) : [];
  };
  const issues = (name: string) =>
    answer.list(name).map((issue) =>
      `${issue.text("field").replace(/^vmdef\./, "")}: ${issue.text("message")}`
    );
  return {
    host: answer.text("host"),
    name: answer.text("name"),
    vm: answer.text("vm"),
    vmname: answer.text("vmname"),
    fits: answer.raw("fits") === true,
    keeps: texts("keeps"),
    changes: texts("changes"),
    obstacles: issues("obstacles"),
    warnings: issues("warnings"),
  };
}
