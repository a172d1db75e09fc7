import type { Inventory } from "../cluster/inventory.ts";
import { domainIds, withFreshIds, withUuid } from "../domain_xml/fresh_ids.ts";
import { libvirtName } from "../domain_xml/libvirt_name.ts";
import { parseDomainXml } from "../domain_xml/parse.ts";
import { withholdSecrets } from "../domain_xml/secrets.ts";
import { UnreadableXml } from "../domain_xml/unreadable_xml.ts";
import type { HostMonitor } from "../host/monitor.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { VirtxError } from "../model/error.ts";
import { isKeptDisk } from "../model/kept.ts";
import { variablesPath } from "../model/paths.ts";
import { isUuid } from "../model/uuid.ts";
import { allDisks, type Disk, type ImportVerdict, type Vmdef, type VmImportOptions } from "../model/vm.ts";
import type { Registry } from "../registry/registry.ts";
import type { DiskClaims } from "./claims.ts";
import type { CheckedDefinition, DefinitionChecker, DefinitionObstacle } from "./definition_check.ts";
import type { DiskOwners } from "./disk_owners.ts";
import { disksOf } from "./registered_disks.ts";
import type { SharedDefinitions } from "./shared_definitions.ts";
import { hasLocalVariables } from "./variables.ts";

/** What {@link Imports} asks. */
export interface ImportsOptions {
  readonly hypervisor: Pick<Hypervisor, "definitionWithSecrets" | "domains">;
  readonly monitor: Pick<HostMonitor, "uuid">;
  readonly inventory: Pick<Inventory, "vm" | "host">;
  readonly registry: Pick<Registry, "everywhere" | "ofOthers">;
  readonly shared: Pick<SharedDefinitions, "reachesOut">;
  readonly claims: Pick<DiskClaims, "issues">;
  readonly checker: DefinitionChecker;
  readonly owners: Pick<DiskOwners, "users" | "recorded">;
}

/** What an import would come to. */
export interface ImportPlan extends Omit<ImportVerdict, "obstacles"> {
  readonly obstacles: readonly DefinitionObstacle[];
  /** With its passwords, and without. */
  readonly secretXml: string;
  readonly xml: string;
  /** Of a definition that is new here, with what the host says to it. */
  readonly checked?: { readonly def: Vmdef; readonly definition: CheckedDefinition } | undefined;
}

/**
 * Tells what it takes to make a VM of another tool one of the cluster, before anything is done. To adopt a domain of this host is
 * to record on shared storage that it is there: its definition, its host, and its disks, so that other hosts know them and give
 * them to nobody. libvirt's definition stays as it is, and no disk is moved. A definition in a file is defined anew, and
 * goes through the rules for what comes from outside.
 */
export class Imports {
  readonly #o: ImportsOptions;

  constructor(options: ImportsOptions) {
    this.#o = options;
  }

  /**
   * @throws VirtxError not_found: libvirt has no such domain; invalid: the file is no definition
   */
  async plan(uuid: string, options: VmImportOptions): Promise<ImportPlan> {
    if (options.xml === "") return await this.#domain(uuid);
    try {
      return await this.#file(uuid, options);
    } catch (error) {
      if (error instanceof UnreadableXml) throw unusable(error.message, error);
      throw error;
    }
  }

  /** Of a domain that this host's libvirt has. */
  async #domain(uuid: string): Promise<ImportPlan> {
    const { hypervisor, owners, registry, monitor } = this.#o;
    const secretXml = await hypervisor.definitionWithSecrets(uuid);
    const known = (await hypervisor.domains()).find((domain) => domain.uuid === uuid);
    const { def, xml } = readable(secretXml, uuid);
    const obstacles: DefinitionObstacle[] = [];
    const refuse = (field: string, message: string) => obstacles.push({ kind: "conflict", field, message });
    if (!known?.persistent) {
      refuse(
        "vm",
        "libvirt keeps it only while its guest runs; virsh define gives it a definition that stays",
      );
    }
    const paths = disksOf(xml) ?? [];
    for (const [path, user] of await owners.users(paths, uuid)) refuse("disks", `${path} is one of ${user}`);
    const recorded = await registry.everywhere(uuid);
    for (const { host, file } of recorded) {
      if (host === monitor.uuid) continue;
      refuse(
        "vm",
        `host "${this.#hostName(host)}" has recorded it as well, in ${file}; see virtx cluster verify`,
      );
    }
    const isRecorded = recorded.some((one) => one.host === monitor.uuid && one.xml === xml);
    const here = this.#hostName(monitor.uuid);
    const name = libvirtName(xml) ?? uuid;
    return {
      ...this.#about(uuid, def.name),
      secretXml,
      xml,
      fits: obstacles.length === 0,
      keeps: [
        `its definition in libvirt, all of it${name === uuid ? "" : `, and its name there, ${name}`}`,
        ...diskLines(def),
        ...this.#o.shared.reachesOut(xml).filter((line) => !paths.some((path) => line.includes(path)))
          .map((line) => `what ties it to host "${here}": ${line}`),
        ...hasLocalVariables(xml)
          ? ["its UEFI variables where they are, on this host; a cold migration takes them to shared storage"]
          : [],
        ...xml === secretXml ? [] : ["its passwords, on this host alone: none is recorded on shared storage"],
      ],
      changes: [
        isRecorded
          ? `nothing of what is recorded of it: host "${here}" has its definition on shared storage already`
          : `its definition is recorded on shared storage as one of host "${here}"`,
        ...ownedLines(def, paths),
      ],
      obstacles,
      warnings: [],
    };
  }

  /** Of a definition that somebody has in a file. */
  async #file(uuid: string, { xml: given, newids, duplicateName }: VmImportOptions): Promise<ImportPlan> {
    const { checker, claims, monitor } = this.#o;
    const before = domainIdsOf(given);
    const secretXml = newids ? withFreshIds(given, uuid, variablesPath(uuid)) : withUuid(given, uuid);
    const { def, xml } = readable(secretXml, uuid);
    const definition = await checker.check({
      vm: uuid,
      def,
      old: undefined,
      tag: uuid,
      taken: claims.issues(uuid, def),
      duplicateName,
    });
    const reaching = this.#o.shared.reachesOut(xml).map((message): DefinitionObstacle => ({
      kind: "conflict",
      field: "xml",
      message: `${message}; whoever trusts the file can use virsh define, and import the domain`,
    }));
    const obstacles = [...await this.#clashes(uuid, xml), ...definition.obstacles, ...reaching];
    const isNamed = before.name !== uuid && !newids;
    return {
      ...this.#about(uuid, def.name),
      secretXml,
      xml,
      checked: { def, definition },
      fits: obstacles.length === 0,
      keeps: [
        `all that the file says${isNamed ? `, its name in libvirt too, ${before.name}` : ""}`,
        ...diskLines(def),
      ],
      changes: [
        `a new domain is defined on host "${
          this.#hostName(monitor.uuid)
        }", which libvirt completes, and recorded ` +
        "on shared storage",
        ...newids || before.uuid === undefined ? [`it gets the UUID ${uuid}`] : [],
        ...newids && before.macs.length > 0 ? ["its interfaces get MAC addresses of their own"] : [],
        ...newids && before.genid !== undefined ? ["it gets a generation id of its own"] : [],
        ...newids ? [`its name in libvirt becomes the UUID; ${def.name} is its title`] : [],
        ...ownedLines(def, disksOf(xml) ?? []),
      ],
      obstacles,
      warnings: definition.warnings,
    };
  }

  /** What VMs of the cluster have, of what only one can; what those of this host have of it beside names, claims tell. */
  async #clashes(uuid: string, xml: string): Promise<readonly DefinitionObstacle[]> {
    const { inventory, registry, hypervisor } = this.#o;
    const { name, macs, genid } = domainIds(xml);
    const found: DefinitionObstacle[] = [];
    const clash = (field: string, message: string) =>
      found.push({ kind: "conflict", field, message: `${message}; --new-ids (newids) gives it another` });
    const [domains, [recorded]] = await Promise.all([hypervisor.domains(), registry.everywhere(uuid)]);
    const host = inventory.vm(uuid)?.host ?? recorded?.host;
    if (host !== undefined || domains.some((domain) => domain.uuid === uuid)) {
      const at = host === undefined ? "this host" : `host "${this.#hostName(host)}"`;
      clash("uuid", `VM "${inventory.vm(uuid)?.name ?? uuid}" on ${at} has the UUID ${uuid}`);
    } else if (domains.some((domain) => domain.name === name)) {
      clash("name", `a domain of this host has the name ${name} in libvirt`);
    }
    if (macs.length === 0 && genid === undefined) return found;
    for await (const { vm, host, xml: other } of registry.ofOthers()) {
      if (vm === uuid) continue;
      const text = other.toLowerCase();
      const whose = () => `VM "${inventory.vm(vm)?.name ?? vm}" on host "${this.#hostName(host)}" has`;
      for (const mac of macs) if (text.includes(mac)) clash("mac", `${whose()} the MAC address ${mac}`);
      if (genid !== undefined && text.includes(genid)) {
        clash("genid", `${whose()} the generation id ${genid}`);
      }
    }
    return found;
  }

  #about(vm: string, vmname: string): Pick<ImportVerdict, "host" | "name" | "vm" | "vmname"> {
    const { uuid } = this.#o.monitor;
    return { host: uuid, name: this.#hostName(uuid), vm, vmname };
  }

  #hostName(uuid: string): string {
    return this.#o.inventory.host(uuid)?.def.name ?? uuid;
  }
}

/** The UUID that an import makes or adopts; undefined: a new one. */
export function importedUuid(
  { vm, xml, newids }: Pick<VmImportOptions, "vm" | "xml" | "newids">,
): string | undefined {
  if (xml === "") return vm;
  const { uuid } = domainIdsOf(xml);
  return newids ? undefined : uuid;
}

/** @throws VirtxError invalid, if it is no definition */
function domainIdsOf(xml: string): ReturnType<typeof domainIds> {
  try {
    const ids = domainIds(xml);
    if (ids.name === "") throw unusable("it has no <name>");
    if (ids.uuid !== undefined && !isUuid(ids.uuid)) throw unusable("its <uuid> is none");
    return ids;
  } catch (error) {
    if (error instanceof UnreadableXml) throw unusable(error.message, error);
    throw error;
  }
}

function unusable(why: string, cause?: unknown): VirtxError {
  const issues = [{ field: "xml", message: `is no definition of a domain: ${why}` }];
  return new VirtxError("invalid", "Cannot import the definition", { cause, issues });
}

/** @throws VirtxError conflict, if it cannot be read */
function readable(secretXml: string, uuid: string): { readonly def: Vmdef; readonly xml: string } {
  try {
    const { def } = parseDomainXml(secretXml);
    const xml = withholdSecrets(secretXml);
    if (xml !== undefined) return { def, xml };
  } catch (error) {
    if (!(error instanceof VirtxError)) throw error;
    throw VirtxError.wrap(
      new VirtxError("conflict", error.message),
      `Cannot import VM ${uuid}: it cannot be read`,
    );
  }
  throw new VirtxError("conflict", `Cannot import VM ${uuid}: it cannot be read`);
}

function diskLines(def: Vmdef): readonly string[] {
  return allDisks(def).filter(({ path }) => path !== "").map((disk) => `disk ${disk.path}${placeOf(disk)}`);
}

function placeOf(disk: Disk): string {
  if (!isKeptDisk(disk)) return "";
  return disk.path.startsWith("/")
    ? ", where it is: it is not below /vms/ds, so the VM cannot leave this host"
    : ", which virtxd keeps and does not change";
}

/** Disks that get a record. */
function ownedLines(def: Vmdef, paths: readonly string[]): readonly string[] {
  return allDisks(def).filter((disk) => paths.includes(disk.path) && !isKeptDisk(disk))
    .map(({ path }) => `disk ${path} is recorded as its own, so that no other VM of the cluster gets it`);
}
