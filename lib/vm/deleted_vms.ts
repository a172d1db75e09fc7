import { lockedScreensWarning, withholdSecrets } from "../domain_xml/secrets.ts";
import { parseDomainXml } from "../domain_xml/parse.ts";
import type { Inventory } from "../cluster/inventory.ts";
import { isDefect, logFailure } from "../model/defect.ts";
import { Firmware } from "../model/enums.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import { variablesPath } from "../model/paths.ts";
import type { Registry } from "../registry/registry.ts";
import type { SecretDefinitions } from "../registry/secret_definitions.ts";
import type { Trash } from "../storage/trash.ts";
import type { TrashInfo } from "../storage/trash_info.ts";
import type { EmptiedTrash, RestoredVm, TrashedVm, TrashUseCases } from "./use_cases.ts";

const HOUR_MS = 3_600_000;

export interface DeletedVmsOptions {
  readonly trash: Trash;
  readonly inventory: Inventory;
  readonly registry: Registry;
  /** Definitions with their passwords of VMs that this host has deleted, by entry. */
  readonly secrets: SecretDefinitions;
  /** Ends what stopped half-way of a VM on this host: it would take away again what is put back. */
  readonly settle: (vm: string) => Promise<void>;
  /** Which of the files VMs have, each with whose it is. */
  readonly users: (paths: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  /** Defines a VM on this host, whose disks are there; with its passwords, if they are known. */
  readonly define: (vm: string, xml: string, secretXml: string | undefined) => Promise<void>;
  /** The changes that are open on this host: what they delete may come to be in the trash. */
  readonly openChanges: () => Promise<readonly string[]>;
  readonly log: Logger;
}

/** What was deleted and can still be had back: the trash on the shared storage, as any host finds it. */
export class DeletedVms implements TrashUseCases {
  readonly #o: DeletedVmsOptions;

  constructor(options: DeletedVmsOptions) {
    this.#o = options;
  }

  get hours(): number {
    return this.#o.trash.graceMs / HOUR_MS;
  }

  async list(): Promise<readonly TrashedVm[]> {
    const entries = await this.#o.trash.list();
    return entries.map(({ id, info, damage, busy, files, bytes }) => ({
      id,
      vm: info?.vm ?? "",
      name: info?.name ?? "",
      host: info?.host ?? "",
      deleted: info?.deletedAt ?? 0,
      until: info?.until ?? 0,
      definition: info?.xml !== undefined,
      size: Math.ceil(bytes / (1 << 20)),
      files,
      busy,
      damage,
    }));
  }

  async restore(id: string): Promise<RestoredVm> {
    const { trash, settle, define, log } = this.#o;
    const entry = (await trash.list()).find((candidate) => candidate.id === id);
    if (entry?.info !== undefined) await settle(entry.info.vm);
    const warnings: string[] = [];
    let vm = "";
    let isUefi = false;
    const files = await trash.restore(id, async (info, back) => {
      const lost = info.files.flatMap(({ path }) =>
        back.includes(path) || path === variablesPath(info.vm) ? [] : [path]
      );
      const loss = `the trash does not have ${lost.join(", ")} any more`;
      if (lost.length > 0) warnings.push(loss);
      if (info.xml === undefined) return;
      const keeper = await this.#hostOf(info);
      if (keeper !== undefined) {
        warnings.push(`VM "${info.name}" is there, on host ${keeper}, so it is not defined again`);
        return;
      }
      // What has the path by now is not this VM's.
      if (lost.length > 0) {
        throw new VirtxError("conflict", `${loss}, so VM "${info.name}" cannot be defined again`);
      }
      const secretXml = await this.#secretOf(id, info.xml);
      await define(info.vm, info.xml, secretXml);
      vm = info.vm;
      const locked = lockedScreensWarning(vm, secretXml ?? info.xml);
      if (locked !== undefined) warnings.push(locked);
      isUefi = parseDomainXml(info.xml).def.firmware === Firmware.uefi;
    });
    if (isUefi && !files.includes(variablesPath(vm))) {
      warnings.push("its UEFI variables are not among what was kept: the firmware starts with new ones");
    }
    await this.#forgetSecret(id);
    log.info("restored from the trash", { entry: id, vm: vm || undefined, files: files.join(", ") });
    return { vm, files, warnings };
  }

  async empty(id: string, options: { readonly force?: boolean | undefined }): Promise<void> {
    await this.#o.trash.empty(id, { force: options.force === true });
    await this.#forgetSecret(id);
    this.#o.log.info("the trash is emptied as asked", { entry: id });
  }

  async emptyAll(): Promise<EmptiedTrash> {
    const emptied: string[] = [];
    const left: { id: string; reason: string }[] = [];
    for (const { id } of await this.#o.trash.list()) {
      try {
        await this.empty(id, {});
        emptied.push(id);
      } catch (error) {
        if (isDefect(error)) throw error;
        left.push({ id, reason: errorMessage(error) });
      }
    }
    return { emptied, left };
  }

  /** Ends the restores and emptyings that this host was cut off at; see {@link Trash.settle}. */
  async settle(): Promise<void> {
    const { trash, registry, settle, users } = this.#o;
    await trash.settle({
      isDefined: async (vm) => {
        await settle(vm);
        return (await registry.everywhere(vm)).length > 0;
      },
      used: users,
    });
  }

  /** Empties what has expired, see {@link Trash.tidy}, and forgets the passwords of what is not in the trash any more. */
  async tidy(): Promise<void> {
    const { trash, secrets, openChanges } = this.#o;
    await trash.tidy();
    const kept = (await trash.list()).map(({ id }) => id);
    await secrets.sweep(new Set([...kept, ...await openChanges()]));
  }

  /** The definition with its passwords, if this host has it and nothing else about it was changed since. */
  async #secretOf(id: string, xml: string): Promise<string | undefined> {
    const secretXml = (await this.#o.secrets.read(id))?.newXml;
    return secretXml !== undefined && withholdSecrets(secretXml) === xml ? secretXml : undefined;
  }

  /** Passwords that cannot be removed now go later, with {@link tidy}. */
  async #forgetSecret(id: string): Promise<void> {
    try {
      await this.#o.secrets.remove(id);
    } catch (error) {
      logFailure(this.#o.log, "warn", "cannot forget the passwords of a deleted VM yet", error, {
        entry: id,
      });
    }
  }

  /**
   * The host that has a VM, by what all have recorded; undefined: none. What is only told may be out of date, and defining the
   * VM asks about that.
   */
  async #hostOf({ vm }: TrashInfo): Promise<string | undefined> {
    const { inventory, registry } = this.#o;
    const [recorded] = await registry.everywhere(vm);
    return recorded && (inventory.host(recorded.host)?.def.name ?? recorded.host);
  }
}
