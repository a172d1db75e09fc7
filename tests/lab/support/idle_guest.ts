import type { LabHost } from "../../../scripts/lab/host.ts";

/**
 * Defines a domain without virtxd and without a disk, and leaves it off; its UUID. Its firmware finds nothing to boot, and
 * waits.
 */
export async function defineIdleGuest(host: LabHost, uuid: string = crypto.randomUUID()): Promise<string> {
  const xml = `
<domain type="qemu">
  <name>${uuid}</name>
  <uuid>${uuid}</uuid>
  <title>idle</title>
  <memory unit="MiB">64</memory>
  <vcpu>1</vcpu>
  <os><type arch="x86_64" machine="pc">hvm</type></os>
  <devices><serial type="pty"/></devices>
</domain>`;
  await host.exec(["tee", `/tmp/${uuid}.xml`], { stdin: xml });
  await host.exec(["virsh", "define", `/tmp/${uuid}.xml`]);
  return uuid;
}
