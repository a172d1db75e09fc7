import { VirtxError } from "../../model/error.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import { shortFailure } from "../failure.ts";
import type { Input } from "../input.ts";
import { plain } from "../output/plain.ts";
import type { Named } from "../resolve.ts";
import type { Cluster } from "../server/cluster.ts";
import { Attendance } from "./attendance.ts";
import { type Stage, Unattended } from "./attended.ts";
import { carryOut, type Change, leaves, type Manner } from "./change.ts";
import { type Outcome, OUTCOME_VIEW, outcomeLine, tally } from "./outcome.ts";

/** Changes that are under way at a time unless told otherwise. */
const PARALLEL = 8;
const PARALLEL_MAX = 64;

export interface BulkOptions<T extends Named = Named> {
  readonly context: Context;
  readonly input: Input;
  readonly cluster: Cluster;
  readonly vms: readonly T[];
  readonly parallel?: number;
}

/**
 * Does the same with several VMs, some at a time; prints a line for each result as it comes. The failure of one does not keep
 * the others from it; Ctrl-C and --timeout do, and then it is told how many were not begun.
 * @returns ok; refused, if some failed; timeout; interrupted
 * @throws VirtxError what became of the only one
 */
export async function changeEach<T extends Named>(
  o: BulkOptions<T>,
  changeOf: (vm: T) => Change,
): Promise<ExitCode> {
  return await doEach(o, (vm, manner) => carryOut(changeOf(vm), manner));
}

/** The same where it takes more than one change. */
export async function doEach<T extends Named>(
  o: BulkOptions<T>,
  act: (vm: T, manner: Manner) => Promise<Outcome>,
): Promise<ExitCode> {
  const { context, input, cluster, vms } = o;
  const rest = [...vms];
  const outcomes: Outcome[] = [];
  let interrupted = false;
  {
    await using attendance = await Attendance.begin(context, cluster, vms.map(({ name }) => name), {
      ended: () => tally(outcomes),
      unbegun: () => rest.length,
    });
    const manner: Manner = { context, cluster, attendance, leave: leaves(input) };
    const work = async () => {
      while (await attendance.mayBegin()) {
        const vm = rest.shift();
        if (vm === undefined) return;
        const outcome = await attempt(vm, () => act(vm, manner));
        outcomes.push(outcome);
        if (vms.length > 1 || outcome.error === undefined) report(outcome, manner);
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallel(o), vms.length) }, work));
    interrupted = attendance.interrupted;
  }
  const all = [...outcomes, ...rest.map((vm) => unbegun(vm))];
  if (isForPrograms(context)) await context.printer.list(OUTCOME_VIEW, all);
  const [only] = all;
  if (only !== undefined && all.length === 1 && only.error !== undefined) {
    if (!interrupted) throw only.error;
    context.err.line(`${context.program}: ${shortFailure(only.error)}`);
  }
  if (all.length > 1 && !context.options.quiet) summarise(all, interrupted, context);
  if (interrupted) return ExitCode.interrupted;
  const isLate = context.signal.aborted && all.some(({ state }) => state !== "completed");
  if (isLate) return ExitCode.timeout;
  return all.some(({ error }) => error !== undefined) ? ExitCode.refused : ExitCode.ok;
}

async function attempt(vm: Named, act: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Unattended) return left(vm, error.stage);
    const state = error instanceof VirtxError && error.kind === "cancelled" ? "cancelled" : "failed";
    return { vm, said: state, operation: undefined, state, error };
  }
}

/** What is known of a change that is not waited for any more. */
function left(vm: Named, stage: Stage): Outcome {
  switch (stage.kind) {
    case "operation":
      return { vm, said: "under way", operation: stage.id, state: "running" };
    case "afterwards":
      return { vm, said: stage.words?.said ?? "under way", operation: undefined, state: "running" };
    case "asked":
      return { vm, said: "not answered", operation: undefined, state: "unknown" };
    case "waiting":
      return unbegun(vm);
  }
}

function unbegun(vm: Named): Outcome {
  return { vm, said: "not begun", operation: undefined, state: "unbegun" };
}

function report(outcome: Outcome, { attendance, context, leave }: Manner): void {
  const { error, state, operation, vm } = outcome;
  if (error !== undefined) {
    const mark = context.err.colours.paint(`${plain(vm.name)}:`, "red");
    attendance.complain(`${mark} ${shortFailure(error)}`);
  } else if (isForPrograms(context) || state === "unknown" || state === "unbegun") return;
  // Who leaves is told by the attendance what goes on.
  else if (state === "running" && !leave && operation !== undefined) return;
  else if (context.options.quiet) {
    if (state === "running" && operation !== undefined) attendance.say(operation);
  } else {
    attendance.say(
      state === "running" && operation !== undefined
        ? `${outcomeLine(outcome)}, operation ${operation}`
        : outcomeLine(outcome),
    );
  }
}

/** Says what the lines above do not: how many failed, or, if not all was done, what became of how many. */
function summarise(all: readonly Outcome[], interrupted: boolean, { err, signal }: Context): void {
  const failed = all.filter(({ error }) => error !== undefined).length;
  if (interrupted || signal.aborted) err.line(`${tally(all)}.`);
  else if (failed > 0) err.line(`${failed} of ${all.length} failed.`);
}

function isForPrograms({ options }: Context): boolean {
  return options.format.kind !== "table" && options.format.kind !== "wide";
}

function parallel<T extends Named>({ input, parallel = PARALLEL }: BulkOptions<T>): number {
  const text = input.string("parallel");
  if (text === undefined) return parallel;
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= PARALLEL_MAX) return number;
  throw new VirtxError(
    "invalid",
    `--parallel must be a number from 1 to ${PARALLEL_MAX}, not ${JSON.stringify(text)}`,
  );
}
