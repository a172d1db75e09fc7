import type { LabHost } from "../../../scripts/lab/host.ts";

export interface PlainGuestOptions {
  readonly firmware: "bios" | "uefi";
  /** Of the qcow2 image, on the host. */
  readonly disk: string;
}

/** Defines a domain for the lab's guest image, without virtxd, and starts it; its UUID. */
export async function startPlainGuest(host: LabHost, options: PlainGuestOptions): Promise<string> {
  const uuid = crypto.randomUUID();
  await host.exec(["tee", `/tmp/${uuid}.xml`], { stdin: domainXml(uuid, options) });
  await host.exec(["virsh", "define", "--validate", `/tmp/${uuid}.xml`]);
  await host.exec(["virsh", "start", uuid]);
  return uuid;
}

function domainXml(uuid: string, { firmware, disk }: PlainGuestOptions): string {
  const [os, machine, memory] = firmware === "uefi" ? ["firmware='efi'", "q35", 192] : ["", "pc", 128];
  return `
<domain type="qemu">
  <name>${uuid}</name>
  <uuid>${uuid}</uuid>
  <memory unit="MiB">${memory}</memory>
  <vcpu>1</vcpu>
  <os ${os}>
    <type arch="x86_64" machine="${machine}">hvm</type>
    ${os && '<firmware><feature enabled="no" name="secure-boot"/></firmware>'}
    <boot dev="hd"/>
  </os>
  <features><acpi/></features>
  <cpu mode="maximum"/>
  <devices>
    <disk type="file" device="disk">
      <driver name="qemu" type="qcow2" cache="none"/>
      <source file="${disk}"/>
      <target dev="vda" bus="virtio"/>
    </disk>
    <controller type="scsi" index="0" model="virtio-scsi"/>
    <interface type="network"><source network="default"/><model type="virtio"/></interface>
    <interface type="bridge"><source bridge="br0"/><model type="virtio"/></interface>
    <serial type="pty"/>
    <console type="pty"><target type="virtio"/></console>
  </devices>
</domain>`;
}
