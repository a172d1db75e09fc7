import { operationsOf } from "../domain_xml/parse.ts";
import type { LocalDomain } from "../host/monitor.ts";
import { VirtxError } from "../model/error.ts";
import type { TrackedOperation } from "./operation_record.ts";

/**
 * What an operation came to that the end of an earlier virtxd cut off, by what is there now that half-done changes are
 * settled (VmService.recover): what it would have brought.
 *
 * @param domain the VM, if this host has it
 * @throws VirtxError why it failed; unavailable, if it was undone or if it cannot be told
 */
export function aftermathOf({ op, vm, started }: TrackedOperation, domain: LocalDomain | undefined): unknown {
  switch (op) {
    case "VmCreate":
      if (domain) return vm;
      throw interrupted(op, "it was undone");
    case "VmDelete":
      if (!domain) return {};
      throw interrupted(op, "it was undone");
    case "VmMigrate":
      if (domain) throw stayed(domain, started);
      return {};
    default:
      throw interrupted(op, "see the VM for whether it took effect");
  }
}

/** Why a VM is still here that was to migrate. */
function stayed({ xml }: LocalDomain, started: number): VirtxError {
  if (xml === undefined) return interrupted("VmMigrate", "see the VM for whether it took effect");
  const record = operationsOf(xml).find(({ op, ts }) => op === "VmMigrate" && ts >= started);
  if (!record || record.status !== "failed") return interrupted("VmMigrate", "it was not begun");
  return new VirtxError("refused", `Cannot migrate: ${record.msg}`);
}

function interrupted(op: string, what: string): VirtxError {
  return new VirtxError("unavailable", `virtxd ended before ${op} was done: ${what}`);
}
