import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { age, instant } from "../output/human.ts";
import { progressWords } from "../output/progress_bar.ts";
import { renderSheet } from "../output/sheet.ts";
import { directoryOf } from "../server/find.ts";
import { findOperations } from "../server/find_operation.ts";
import { operationRecord, operationStyle, tookText, vmNames } from "../views/operation_list.ts";

/** `operation get`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const [directory, [id = ""]] = await Promise.all([
    directoryOf(cluster),
    findOperations(cluster, [input.required("operation")]),
  ]);
  const operation = await cluster.operation(id);
  const { printer, out } = context;
  const now = context.now();
  await printer.one(
    { name: ({ id }) => id, record: (operation) => operationRecord(operation, directory) },
    operation,
    () => {
      const { state, error, progress, result } = operation;
      return renderSheet([{
        lines: [
          ["Operation", operation.op],
          ["Id", operation.id],
          ["VM", `${vmNames(directory)(operation.vm)} (${operation.vm})`],
          ["Host", directory.hostName(operation.host)],
          ["State", state, operationStyle(state)],
          ["Started", `${instant(operation.started)}, ${age(operation.started, now)} ago`],
          [state === "running" ? "Takes" : "Took", tookText(operation, now)],
          ...progress === undefined ? [] : [["Progress", progressWords(progress).trim()] as const],
          ...error === undefined ? [] : [["Why", error.message] as const],
          ...result === undefined ? [] : [["Result", JSON.stringify(result)] as const],
        ],
      }], out.colours);
    },
  );
  return ExitCode.ok;
}
