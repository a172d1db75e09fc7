import { HostProcess } from "../../../scripts/lab/host_process.ts";
import type { LabHost } from "../../../scripts/lab/host.ts";
import { until } from "../../../scripts/lab/until.ts";
import type { TestLab } from "./test_lab.ts";

/** The directory with the prototype's own programs, `virtxd` and `virtx`; undefined: they are not here, and nothing is tried with them. */
export const PROTOTYPE_PROGRAMS = Deno.env.get("VIRTX_PROTOTYPE") || undefined;

const DAEMON = "/usr/local/bin/prototype-virtxd";
const CLIENT = "/usr/local/bin/prototype-virtx";

/** A lab host that runs the prototype itself, with its client on any host. */
export class RealPrototype implements AsyncDisposable {
  private constructor(readonly host: LabHost, readonly process: HostProcess) {}

  /** Installs the programs and starts the daemon; returns once its API answers. */
  static async start(lab: TestLab, n: number): Promise<RealPrototype> {
    const host = lab.host(n);
    for (const { name } of lab.lab.hosts) {
      await lab.lab.host(name).install(`${PROTOTYPE_PROGRAMS}/virtx`, CLIENT);
    }
    await host.install(`${PROTOTYPE_PROGRAMS}/virtxd`, DAEMON);
    await host.exec(["mkdir", "-p", "/vms/ds", "/vms/lock", `/vms/xml/${host.record.uuid}`]);
    const process = await HostProcess.spawn(host, [DAEMON], { log: "prototype" });
    const started = new RealPrototype(host, process);
    try {
      await until("the prototype's API to answer", async () => {
        if (process.pid === undefined) throw new Error(`It ended:\n${process.output}`);
        // A GET of its API wants a body, which fetch cannot send; any answer says that it is there.
        const answer = await fetch(`http://${host.address}:8080/hosts`).catch(() => undefined);
        await answer?.body?.cancel();
        return answer && true;
      }, 60_000);
      return started;
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}

/** What the prototype's client prints on a host about that host's server; fails unless the client succeeds. */
export async function prototypeClient(host: LabHost, ...args: readonly string[]): Promise<string> {
  return await host.exec([CLIENT, "-A", `${host.address}:8080`, ...args]);
}
