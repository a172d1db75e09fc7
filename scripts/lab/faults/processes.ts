import { isRunning, type ProcessIdentity, startTime } from "../process_identity.ts";
import type { LabHost } from "../host.ts";
import { until } from "../until.ts";

/** What runs on a host: one of its services, or the QEMU of a guest, by UUID. */
export type Victim = "serf" | "libvirtd" | { readonly guest: string };

/** Stops a process (SIGSTOP), as a machine that is short of memory might; it goes on when this is disposed. */
export async function freeze(host: LabHost, victim: Victim): Promise<AsyncDisposable> {
  const process = await find(host, victim);
  Deno.kill(process.pid, "SIGSTOP");
  return {
    async [Symbol.asyncDispose]() {
      if (await isRunning(process)) Deno.kill(process.pid, "SIGCONT");
    },
  };
}

/** Kills a process (SIGKILL), and waits until it is gone. {@link Lab.boot} starts a service again. */
export async function kill(host: LabHost, victim: Victim): Promise<void> {
  const process = await find(host, victim);
  Deno.kill(process.pid, "SIGKILL");
  await until(
    "the killed process to be gone",
    async () => await isRunning(process) ? undefined : true,
    10_000,
  );
}

/** The process, as the machine sees it. */
async function find(host: LabHost, victim: Victim): Promise<ProcessIdentity> {
  const file = typeof victim === "string" ? `/run/${victim}.pid` : `/run/libvirt/qemu/${victim.guest}.pid`; // libvirt names it by the domain's name, which is the UUID
  const inner = Number(await Deno.readTextFile(await host.path(file)));
  const pid = await (await host.realm()).machinePid(inner);
  const started = pid === undefined ? undefined : await startTime(pid);
  if (pid === undefined || started === undefined) {
    throw new Error(`Host ${host.name} has no process ${inner}, of which ${file} tells`);
  }
  return { pid, startTime: started };
}
