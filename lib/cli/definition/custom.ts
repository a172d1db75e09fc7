import type { CustomField } from "../../model/vm.ts";
import type { Field } from "./field.ts";
import type { Naming } from "./names.ts";

const KEYS = { name: [], value: [] } as const;

/** `{owner: web team}`, or the API's list of names and values. */
export function readCustom(field: Field): readonly { custom: CustomField; naming: Naming }[] {
  if (field.isTable) {
    return field.entries().map(([name, value]) => ({
      custom: { name, value: value.value === null ? "" : value.text() ?? "" },
      naming: value.naming,
    }));
  }
  return (field.items() ?? []).map((item) => {
    const table = item.table(KEYS, "a table of name and value");
    return {
      custom: {
        name: (table?.get("name") ?? table?.missing("name"))?.text() ?? "",
        value: table?.get("value")?.text() ?? "",
      },
      naming: table?.naming ?? item.naming,
    };
  });
}
