import type { LabHost } from "../../../scripts/lab/host.ts";
import { type CheckedCluster, noteFile } from "./checker.ts";
import type { Act, VmNote } from "./ledger.ts";

/** What people do beside virtxd, with virsh(1) and by hand. */
export class OtherTools {
  #count = 0;

  constructor(readonly cluster: CheckedCluster) {}

  /** Which of the hosts has the VM defined, by the files of its libvirt, whether it is up or not. */
  async definedOn({ uuid }: VmNote): Promise<number | undefined> {
    for (const [at, { host }] of this.cluster.hosts.entries()) {
      const file = `${host.disk}/etc/libvirt/qemu/${uuid}.xml`;
      if (await Deno.stat(file).then(() => true, () => false)) return at;
    }
    return undefined;
  }

  /** The host that has the VM defined, if it is up. */
  async hostOf(vm: VmNote): Promise<LabHost | undefined> {
    const host = this.cluster.hosts[await this.definedOn(vm) ?? -1]?.host;
    return host && await host.isUp() ? host : undefined;
  }

  /**
   * Puts something into a definition that virtxd has no word for. Two who edit one definition at the same instant overwrite each
   * other, with libvirt as it is; so that is done only while nobody else is at it.
   */
  async decorate(vm: VmNote, kind: "metadata" | "description" | "channel"): Promise<void> {
    await this.#alone(vm, async (host) => {
      const token = `campaign-${kind}-${++this.#count}`;
      if (kind === "description" && [...vm.foreign].some((other) => other.includes(kind))) return;
      const act = this.#begin(host, `put ${token} into "${vm.title}"`, vm);
      const done = await this.#decorate(host, vm, kind, token);
      this.#end(act, done);
      if (done.code === 0) vm.foreign.add(token);
    });
  }

  /** Adds a disk of the tool's own making to a definition. */
  async attach(vm: VmNote): Promise<void> {
    await this.#alone(vm, async (host) => {
      const n = ++this.#count;
      const path = `/vms/ds/foreign/f${n}.raw`;
      const file = this.cluster.storage + path.slice("/vms".length);
      await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(file, "");
      await Deno.truncate(file, 1 << 20);
      await noteFile(this.cluster, path);
      const act = this.#begin(host, `attach ${path} to "${vm.title}"`, vm, { gives: [path] });
      const target = `vd${String.fromCharCode(0x68 + n % 18)}`;
      const options = ["--targetbus", "virtio", "--subdriver", "raw", "--config"];
      this.#end(act, await host.run(["virsh", "attach-disk", vm.uuid ?? "", path, target, ...options]));
    });
  }

  /** Removes a definition that the registry has as it is. */
  async undefine(vm: VmNote): Promise<void> {
    await this.#alone(vm, async (host) => {
      const file = `${this.cluster.storage}/xml/${host.record.uuid}/${vm.uuid}.xml`;
      const registered = await Deno.readTextFile(file).catch(() => "");
      if (registered === "" || ![...vm.foreign].every((token) => registered.includes(token))) return;
      const act = this.#begin(host, `virsh undefine "${vm.title}"`, vm, { effect: "removes" });
      this.#end(act, await host.run(["virsh", "undefine", vm.uuid ?? ""]));
    });
  }

  async start(vm: VmNote): Promise<void> {
    await this.#virsh("start", vm);
  }

  async destroy(vm: VmNote): Promise<void> {
    await this.#virsh("destroy", vm);
  }

  async #virsh(command: string, vm: VmNote): Promise<void> {
    const host = await this.hostOf(vm);
    if (host === undefined) return;
    const act = this.#begin(host, `virsh ${command} "${vm.title}"`, vm);
    this.#end(act, await host.run(["timeout", "30", "virsh", command, vm.uuid ?? ""]));
  }

  async #decorate(host: LabHost, { uuid = "" }: VmNote, kind: string, token: string) {
    switch (kind) {
      case "metadata": {
        const uri = `http://example.org/${token}`;
        const set = ["--key", `k${this.#count}`, "--set", `<asset>${token}</asset>`, "--config"];
        return await host.run(["virsh", "metadata", uuid, uri, ...set]);
      }
      case "description":
        return await host.run(["virsh", "desc", uuid, "--config", token]);
      default: {
        const dumped = await host.run(["virsh", "dumpxml", "--inactive", uuid]);
        if (dumped.code !== 0) return dumped; // libvirtd is not there just now
        const xml = dumped.stdout;
        const watchdog = xml.includes("<watchdog") ? "" : '<watchdog model="i6300esb" action="reset"/>';
        const channel = `<channel type="unix"><target type="virtio" name="${token}"/></channel>`;
        const edited = xml.replace("</devices>", `${watchdog}${channel}</devices>`);
        const path = `/tmp/${token}.xml`;
        await host.exec(["tee", path], { stdin: edited });
        return await host.run(["virsh", "define", path]);
      }
    }
  }

  async #alone(vm: VmNote, task: (host: LabHost) => Promise<void>): Promise<void> {
    const { ledger } = this.cluster;
    if (vm.reserved || ledger.isBusy(vm)) return;
    vm.reserved = true;
    try {
      const host = await this.hostOf(vm);
      if (host !== undefined) await task(host);
    } catch (error) {
      if (await this.hostOf(vm) !== undefined) throw error; // else its host has lost power just now
    } finally {
      vm.reserved = false;
    }
  }

  #begin(host: LabHost, what: string, vm: VmNote, means = {}): Act {
    return this.cluster.ledger.begin(`other tools on ${host.name}: ${what}`, vm, means);
  }

  #end(act: Act, { code, stderr }: { readonly code: number; readonly stderr: string }): void {
    // What virsh was killed at may have been done: 128 and more.
    const outcome = code === 0 ? "accepted" : code < 124 ? "refused" : "unknown";
    this.cluster.ledger.end(act, outcome, stderr.trim().replaceAll("\n", " "));
  }
}
