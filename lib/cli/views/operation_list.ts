import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Style } from "../output/colours.ts";
import { age, instantOrNull, span } from "../output/human.ts";
import { plain } from "../output/plain.ts";
import type { View } from "../output/printer.ts";
import type { OperationList } from "../server/cluster.ts";
import type { Directory } from "../server/find.ts";
import type { OperationItem } from "../server/operations.ts";
import { operationWord } from "./words.ts";

/** Prints operations, and says on standard error whose may be missing. */
export async function printOperations(
  context: Context,
  { items, missing }: OperationList,
  directory: Directory,
): Promise<ExitCode> {
  for (const { name, reason } of missing) {
    context.err.line(`Without those of host ${plain(name)}: ${plain(reason)}`);
  }
  if (items.length === 0 && context.options.format.kind === "table" && !context.options.quiet) {
    context.err.line("No operations.");
  } else await context.printer.list(operationListView(directory, context.now()), items);
  return ExitCode.ok;
}

/** Operations as `operation list` prints them. */
export function operationListView(directory: Directory, now: number): View<OperationItem> {
  const vmName = vmNames(directory);
  const { hostName } = directory;
  return {
    name: ({ id }) => id,
    columns: [
      // An id begins with its host: what tells it apart comes behind 14 characters.
      { heading: "ID", text: ({ id }) => id, least: 19 },
      { heading: "OPERATION", text: ({ op }) => operationWord(op), least: 9, spare: 1 },
      { heading: "VM", text: ({ vm }) => vmName(vm), least: 8, spare: 2 },
      { heading: "HOST", text: ({ host }) => hostName(host), least: 8, spare: 4 },
      { heading: "STATE", text: ({ state }) => state, style: ({ state }) => operationStyle(state), least: 5 },
      { heading: "AGO", text: ({ started }) => age(started, now), right: true, spare: 3 },
      { heading: "TOOK", text: (operation) => tookText(operation, now), right: true, spare: 5 },
      { heading: "WHY", text: ({ error }) => error?.message ?? "-", least: 12, wraps: true },
    ],
    record: (operation) => operationRecord(operation, directory),
  };
}

/** The record of an operation for programs. */
export function operationRecord(
  operation: OperationItem,
  directory: Directory,
): Readonly<Record<string, unknown>> {
  return {
    id: operation.id,
    op: operation.op,
    vm: vmNames(directory)(operation.vm),
    vmuuid: operation.vm,
    host: directory.hostName(operation.host),
    hostuuid: operation.host,
    state: operation.state,
    started: instantOrNull(operation.started),
    ended: instantOrNull(operation.ended),
    error: operation.error?.message ?? null,
    progress: operation.progress ?? null,
    result: operation.result ?? null,
  };
}

export function operationStyle(state: OperationItem["state"]): Style | undefined {
  if (state === "failed") return "red";
  return state === "completed" ? "green" : "yellow";
}

/** How long it took, or has taken until now. */
export function tookText({ started, ended }: OperationItem, now: number): string {
  const ms = (ended > 0 ? ended : now) - started;
  return ms < 10_000 ? `${(Math.max(0, ms) / 1000).toFixed(1)}s` : span(ms);
}

/** The name of a VM by its UUID; the beginning of the UUID of one that is gone. */
export function vmNames({ vms }: Pick<Directory, "vms">): (uuid: string) => string {
  const names = new Map(vms.map(({ uuid, name }) => [uuid, name]));
  return (uuid) => names.get(uuid) ?? `${uuid.slice(0, 8)}…`;
}
