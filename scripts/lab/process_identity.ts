/** A process, told from any other that had or will have its pid by when it started (proc(5), stat field 22). */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, in decimal. */
  readonly startTime: string;
}

/** When a process started; undefined: there is none with this pid. */
export async function startTime(pid: number): Promise<string | undefined> {
  try {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]; // The name in field 2 may contain anything.
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || isNoSuchProcess(error)) return undefined;
    throw error;
  }
}

/** This very process. */
export async function thisProcess(): Promise<ProcessIdentity> {
  return { pid: Deno.pid, startTime: await startTime(Deno.pid) ?? "" };
}

/** Whether the process has not ended. */
export async function isRunning(process: ProcessIdentity): Promise<boolean> {
  return await startTime(process.pid) === process.startTime;
}

/** A process that ends between open and read answers ESRCH. */
function isNoSuchProcess(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ESRCH";
}
