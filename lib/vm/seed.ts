import { seedDeviceXml } from "../domain_xml/seed.ts";
import type { DefinedDomain } from "../host/monitor.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { seedPath } from "../model/paths.ts";
import type { VmBootOptions } from "../model/vm.ts";
import type { Storage } from "../storage/storage.ts";

/**
 * The cloud-init documents of one boot: a NoCloud seed on shared storage, attached to the definition just before the
 * guest starts and detached from it right after, so that the running guest has it and the next boot does not.
 */
export class Seed {
  readonly #hypervisor: Hypervisor;
  readonly #storage: Storage;

  constructor(options: { hypervisor: Hypervisor; storage: Storage }) {
    this.#hypervisor = options.hypervisor;
    this.#storage = options.storage;
  }

  /** Whether an inactive definition still carries a seed, which a boot that was interrupted left there. */
  static isAttached(vm: string, xml: string): boolean {
    return xml.includes(seedPath(vm));
  }

  /** Starts the guest with the seed that the boot asks for, if any. */
  async around(domain: DefinedDomain, options: VmBootOptions, start: () => Promise<void>): Promise<void> {
    const { uuid } = domain;
    await this.detach(uuid, domain.xml);
    if (options.cloud_init.length === 0) return await start();
    await this.#storage.writeSeed(uuid, documents(uuid, options));
    await this.#hypervisor.attachDevice(uuid, seedDeviceXml(uuid));
    try {
      await start();
    } finally {
      await this.#hypervisor.detachDevice(uuid, seedDeviceXml(uuid));
    }
  }

  /** Takes a forgotten seed out of the definition. */
  async detach(vm: string, xml: string): Promise<void> {
    if (Seed.isAttached(vm, xml)) await this.#hypervisor.detachDevice(vm, seedDeviceXml(vm));
  }
}

/** The files of the seed. NoCloud wants meta-data with an instance id, else it ignores the whole. */
function documents(vm: string, { cloud_init }: VmBootOptions): Record<string, string> {
  const given = new Map(cloud_init.map(({ name, value }) => [name, value]));
  const network = given.get("ci-networkconfig");
  return {
    "meta-data": given.get("ci-metadata") ?? `instance-id: ${vm}\n`,
    "user-data": given.get("ci-userdata") ?? "#cloud-config\n",
    ...(network !== undefined && { "network-config": network }),
  };
}
