import { VirtxError } from "../../model/error.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import { shortFailure } from "../failure.ts";
import type { Input } from "../input.ts";
import { Interrupted } from "../interrupts.ts";
import { plain } from "../output/plain.ts";
import type { Cluster } from "../server/cluster.ts";
import type { VmItem } from "../server/vms.ts";
import { Attendance } from "./attendance.ts";
import { carryOut, type Change, leaves, type Manner } from "./change.ts";
import { type Outcome, OUTCOME_VIEW, outcomeLine } from "./outcome.ts";

/** Changes that are under way at a time unless told otherwise. */
const PARALLEL = 8;
const PARALLEL_MAX = 64;

export interface BulkOptions {
  readonly context: Context;
  readonly input: Input;
  readonly cluster: Cluster;
  readonly vms: readonly VmItem[];
  readonly parallel?: number;
}

/**
 * Does the same with several VMs, some at a time; prints a line for each result as it comes. The failure of one does not keep
 * the others from it.
 * @returns ok, or refused if some failed
 * @throws VirtxError what became of the only one; what is no failure of one (Ctrl-C)
 */
export async function changeEach(o: BulkOptions, changeOf: (vm: VmItem) => Change): Promise<ExitCode> {
  return await doEach(o, (vm, manner) => carryOut(changeOf(vm), manner));
}

/** The same where it takes more than one change. */
export async function doEach(
  o: BulkOptions,
  act: (vm: VmItem, manner: Manner) => Promise<Outcome>,
): Promise<ExitCode> {
  const { context, input, cluster, vms } = o;
  const outcomes: Outcome[] = [];
  {
    await using attendance = await Attendance.begin(context, cluster, vms.map(({ name }) => name));
    const manner: Manner = { context, cluster, attendance, leave: leaves(input) };
    const rest = vms.values();
    const work = async () => {
      for (const vm of rest) {
        const outcome = await attempt(vm, () => act(vm, manner), context.signal);
        outcomes.push(outcome);
        if (vms.length > 1 || outcome.error === undefined) report(outcome, manner);
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallel(o), vms.length) }, work));
  }
  const failed = outcomes.filter(({ state }) => state === "failed");
  if (isForPrograms(context)) await context.printer.list(OUTCOME_VIEW, outcomes);
  const [only] = failed;
  if (vms.length === 1 && only !== undefined) throw only.error;
  if (vms.length > 1 && !context.options.quiet && !isForPrograms(context)) summarise(outcomes, context);
  return failed.length > 0 ? ExitCode.refused : ExitCode.ok;
}

async function attempt(vm: VmItem, act: () => Promise<Outcome>, signal: AbortSignal): Promise<Outcome> {
  try {
    return await act();
  } catch (error) {
    if (signal.reason instanceof Interrupted) throw error;
    return { vm, said: "failed", operation: undefined, state: "failed", error };
  }
}

function report(outcome: Outcome, { attendance, context }: Manner): void {
  const { error, state, operation, vm } = outcome;
  if (error !== undefined) {
    const mark = context.err.colours.paint(`${plain(vm.name)}:`, "red");
    attendance.complain(`${mark} ${shortFailure(error)}`);
  } else if (isForPrograms(context)) return;
  else if (context.options.quiet) {
    if (state === "running" && operation !== undefined) attendance.say(operation);
  } else {
    attendance.say(
      state === "running" ? `${outcomeLine(outcome)}, operation ${operation}` : outcomeLine(outcome),
    );
  }
}

function summarise(outcomes: readonly Outcome[], { err }: Context): void {
  const failed = outcomes.filter(({ state }) => state === "failed").length;
  if (failed > 0) err.line(`${failed} of ${outcomes.length} failed.`);
}

function isForPrograms({ options }: Context): boolean {
  return options.format.kind !== "table" && options.format.kind !== "wide";
}

function parallel({ input, parallel = PARALLEL }: BulkOptions): number {
  const text = input.string("parallel");
  if (text === undefined) return parallel;
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= PARALLEL_MAX) return number;
  throw new VirtxError(
    "invalid",
    `--parallel must be a number from 1 to ${PARALLEL_MAX}, not ${JSON.stringify(text)}`,
  );
}
