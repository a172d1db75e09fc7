import { TempDir } from "./temp_dir.ts";
import { numberedUuid } from "./vm_info.ts";

/** A domain as small as libvirt's test driver takes it. */
export interface TestDomain {
  readonly uuid: string;
  readonly name: string;
  readonly title?: string;
  readonly vcpus?: number;
  readonly memoryMiB?: number;
  /** virDomainState at the start; the driver's default is running. */
  readonly state?: number;
}

/** XML for virDomainDefineXML on the test driver. */
export function testDomainXml(domain: TestDomain): string {
  const { uuid, name, title, vcpus = 1, memoryMiB = 512, state } = domain;
  return `<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
  ${state === undefined ? "" : `<test:runstate>${state}</test:runstate>`}
  <name>${name}</name>
  <uuid>${uuid}</uuid>
  ${title === undefined ? "" : `<title>${title}</title>`}
  <memory unit='MiB'>${memoryMiB}</memory>
  <vcpu>${vcpus}</vcpu>
  <os><type>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/vms/ds/${name}.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'>
      <source network='default'/>
      <model type='virtio'/>
    </interface>
  </devices>
</domain>
`;
}

/** A host of libvirt's test driver with these domains, which nobody else sees. */
export class TestDriverHost implements AsyncDisposable {
  private constructor(readonly uri: string, readonly dir: TempDir) {}

  static async create(domains: readonly TestDomain[]): Promise<TestDriverHost> {
    const dir = await TempDir.create();
    const file = dir.at("node.xml");
    await Deno.writeTextFile(file, `<node>\n${domains.map(testDomainXml).join("")}</node>\n`);
    return new TestDriverHost(`test://${file}`, dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dir[Symbol.asyncDispose]();
  }
}

/** So many domains, every third of them running, the others shut off. */
export function manyTestDomains(count: number): TestDomain[] {
  return Array.from({ length: count }, (_, index) => ({
    uuid: numberedUuid(index + 1),
    name: numberedUuid(index + 1),
    title: `vm${index + 1}`,
    state: index % 3 === 0 ? 1 : 5,
  }));
}
