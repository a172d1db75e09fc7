import { VirtxError } from "../model/error.ts";
import { newNameProblem, validateVmdef } from "../model/validate.ts";
import type { Vmdef } from "../model/vm.ts";

/**
 * Makes sure that what is new in a definition obeys the rules. What the VM has stays, whoever gave it.
 * @throws VirtxError invalid, naming the fields
 */
export function requireValidChange(def: Vmdef, old: Vmdef): void {
  const nameProblem = def.name === old.name ? undefined : newNameProblem(def.name);
  const issues = [
    ...validateVmdef(def, old),
    ...nameProblem === undefined ? [] : [{ field: "name", message: nameProblem }],
  ].map(({ field, message }) => ({ field: `vmdef.${field}`, message }));
  if (issues.length > 0) throw new VirtxError("invalid", `Cannot change VM "${old.name}"`, { issues });
}
