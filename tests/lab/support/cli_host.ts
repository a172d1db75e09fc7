import type { CommandOutput } from "../../../scripts/command.ts";
import type { LabHost } from "../../../scripts/lab/host.ts";
import type { LabCluster } from "./lab_cluster.ts";
import { GuestConsole } from "../../../scripts/lab/guest_console.ts";
import { installGuestImage } from "./lab_daemon.ts";

/** Where examples find their files, and a home that can be written. */
export const DESK = "/tmp/desk";

const WEB3 = `name: web3
memory: 128MiB
cpus: { model: maximum, cores: 1 }
disks:
  - size: 64MiB
`;

/** A person's desk on a lab host: the client under its name, and the files that its examples speak of. */
export class CliHost {
  private constructor(readonly cluster: LabCluster, readonly host: LabHost) {}

  static async set(cluster: LabCluster, n = 1): Promise<CliHost> {
    const host = cluster.host(n);
    await host.exec(["ln", "-sf", "virtxd", "/usr/local/bin/virtx"]);
    await host.exec(["mkdir", "-p", DESK]);
    await host.exec(["tee", `${DESK}/web3.yaml`], { stdin: WEB3 });
    await host.exec(["tee", `${DESK}/user-data.yaml`], { stdin: "#cloud-config\nhostname: web2\n" });
    return new CliHost(cluster, host);
  }

  /** Runs a line in bash on the host, whatever its exit code. */
  async sh(line: string, timeoutMs = 120_000): Promise<CommandOutput> {
    return await this.host.run(["bash", "-c", `cd ${DESK}; export HOME=${DESK}\n${line}`], { timeoutMs });
  }

  /** Runs a line that must succeed; its standard output. */
  async must(line: string): Promise<string> {
    const { code, stdout, stderr } = await this.sh(line);
    if (code !== 0) throw new Error(`${line}: exit code ${code}\n${stderr}${stdout}`);
    return stdout;
  }

  /** Makes a VM with the lab's guest on its disk; its UUID. */
  async createGuest(name: string): Promise<string> {
    const image = `/vms/ds/${name}.qcow2`;
    await installGuestImage(this.host, image);
    const flags = `--cpu-model maximum --memory 128MiB --net bridge=br0 --host virt1 -q`;
    return (await this.must(`virtx vm create --name ${name} --disk path=${image},man=managed ${flags}`))
      .trim();
  }

  /** Starts a VM and waits until its guest is up. */
  async boot(uuid: string): Promise<void> {
    await this.must(`virtx vm start ${uuid}`);
    const at = (await this.must(`virtx vm get ${uuid} --state -o 'template={host}'`)).trim();
    await using terminal = await GuestConsole.open(this.cluster.host(Number(at.replace("virt", ""))), uuid);
    await terminal.up();
  }
}
