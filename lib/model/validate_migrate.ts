import { MigrationType } from "./enums.ts";
import type { FieldIssue } from "./error.ts";
import { duplicates, Issues } from "./rules.ts";
import type { VmMigrateOptions } from "./vm.ts";

/** What the fields of a request to migrate may not mean together. */
export function validateMigrateOptions(options: VmMigrateOptions): readonly FieldIssue[] {
  const issues = new Issues();
  const { convergence, connections } = options;
  issues.check(duplicates(convergence).length === 0, "convergence", "must name each measure once");
  // QEMU 7.2 takes the two together, and then the target's crashes with the guest in it.
  issues.check(
    connections === 0 || !convergence.includes("postcopy"),
    "connections",
    "must be 0 if post-copy is allowed",
  );
  if (options.migration_type === MigrationType.cold) {
    for (const field of ["deadline", "bandwidth", "connections"] as const) {
      issues.check(options[field] === 0, field, "must be 0 for a cold migration, which sends no memory");
    }
  }
  return issues.found;
}
