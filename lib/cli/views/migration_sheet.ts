import type { MigrationInfo } from "../../model/vm.ts";
import type { Context } from "../context.ts";
import { MigrationState } from "../../model/enums.ts";
import { amount, instant, instantOrNull, percent, span } from "../output/human.ts";
import { renderSheet, type SheetLine } from "../output/sheet.ts";
import type { Named } from "../resolve.ts";
import { migrationStateWord } from "./words.ts";

/** Prints the migration of a VM that is under way, or the last one. */
export async function printMigration(
  { printer, out }: Context,
  vm: Named,
  migration: MigrationInfo,
  hostName: (uuid: string) => string,
): Promise<void> {
  const { state, progress, source, target, ts, te, reason } = migration;
  const word = migrationStateWord(state);
  const view = {
    name: () => vm.name,
    record: () => ({
      uuid: vm.uuid,
      name: vm.name,
      state: word,
      progress,
      source: hostName(source),
      target: hostName(target),
      started: instantOrNull(ts),
      ended: instantOrNull(te),
      reason,
    }),
  };
  await printer.one(view, migration, () => {
    if (state === MigrationState.none) return `${vm.name} has not been migrated.\n`;
    const { total, remaining, transferred, rate, downtime, timeleft, throttle } = progress;
    const style = state === MigrationState.failed
      ? "red"
      : state === MigrationState.completed
      ? "green"
      : "yellow";
    const lines: readonly SheetLine[] = [
      ["VM", vm.name],
      ["State", word, style],
      ["From", hostName(source)],
      ["To", hostName(target)],
      ["Started", instant(ts)],
      ...te > 0
        ? [["Took", span(te - ts)] as const]
        : [["Time left", timeleft > 0 ? span(timeleft) : "-"] as const],
      ["Memory", `${percent(total - remaining, total)} of ${amount(total)}, ${amount(transferred)} sent`],
      ...rate > 0 ? [["Rate", `${amount(rate)}/s`] as const] : [],
      ["Downtime", `${downtime} ms`],
      ...throttle > 0 ? [["Slowed down by", `${throttle} %`] as const] : [],
      ...reason === "" ? [] : [["Why", reason] as const],
    ];
    return renderSheet([{ lines }], out.colours);
  });
}
