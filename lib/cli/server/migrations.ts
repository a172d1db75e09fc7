import { MigrationState } from "../../model/enums.ts";
import type { MigrationInfo, MigrationVerdict } from "../../model/vm.ts";
import { Fields } from "./fields.ts";
import { oneOf } from "./vms.ts";

/** Reads the answer of VmMigrateGet; the prototype's has less in it. */
export function readMigration(body: unknown): MigrationInfo {
  const migration = new Fields(body, "the migration");
  const progress = migration.object("progress");
  return {
    state: oneOf(MigrationState, migration.number("state")),
    progress: {
      total: progress.number("total"),
      transferred: progress.number("transferred"),
      remaining: progress.number("remaining"),
      rate: progress.number("rate"),
      dirtyrate: progress.numberOr("dirtyrate", 0),
      iteration: progress.numberOr("iteration", 0),
      downtime: progress.numberOr("downtime", 0),
      downtimelimit: progress.numberOr("downtimelimit", 0),
      timeleft: progress.numberOr("timeleft", 0),
      throttle: progress.numberOr("throttle", 0),
    },
    source: migration.textOr("source", ""),
    target: migration.textOr("target", ""),
    ts: migration.numberOr("ts", 0),
    te: migration.numberOr("te", 0),
    reason: migration.textOr("reason", ""),
  };
}

/** Reads what one host says in a dry run. */
export function readVerdict(verdict: Fields): MigrationVerdict {
  return {
    host: verdict.text("host"),
    name: verdict.text("name"),
    fits: verdict.flag("fits"),
    obstacles: verdict.list("obstacles").map((obstacle) => ({
      code: obstacle.text("code"),
      message: obstacle.text("message"),
      ...(obstacle.raw("soft") === true && { soft: true }),
    })),
    load: verdict.number("load"),
  };
}
