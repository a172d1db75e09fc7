import { variablesFile, withVariablesFile } from "../domain_xml/variables.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { logFailure } from "../model/defect.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import { isBelow, SHARED_ROOT, variablesPath } from "../model/paths.ts";
import type { FirmwareVariables } from "../storage/firmware_variables.ts";

/** What {@link Variables} stands on. */
export interface VariablesOptions {
  readonly hypervisor: Pick<Hypervisor, "definitionWithSecrets" | "define" | "domains">;
  readonly storage: { readonly variables: Pick<FirmwareVariables, "adopt" | "putAway"> };
  readonly log: Logger;
}

/** The UEFI variables of this host's VMs: taken to shared storage, or put away when their VM has gone. */
export class Variables {
  readonly #o: VariablesOptions;

  constructor(options: VariablesOptions) {
    this.#o = options;
  }

  /**
   * Takes the variables of a VM that is off to shared storage, so that they are wherever it is; if they are there, nothing
   * happens. Until the definition says the new place, the old file counts; after a crash this may be repeated.
   */
  async share(vm: string): Promise<void> {
    const { hypervisor, storage, log } = this.#o;
    const xml = await hypervisor.definitionWithSecrets(vm);
    const file = localVariables(xml);
    if (file === undefined) return;
    await storage.variables.adopt(vm, file);
    await hypervisor.define(withVariablesFile(xml, variablesPath(vm)));
    log.info("took UEFI variables to shared storage", { vm, from: file });
    await this.#putAway(vm, file);
  }

  /** Puts away what a VM that runs elsewhere by now has left here. */
  async leave(vm: string, xml: string | undefined): Promise<void> {
    const file = xml === undefined ? undefined : localVariables(xml);
    if (file === undefined) return;
    const isBack = (await this.#o.hypervisor.domains()).some(({ uuid }) => uuid === vm);
    if (!isBack) await this.#putAway(vm, file);
  }

  async #putAway(vm: string, file: string): Promise<void> {
    const { storage, log } = this.#o;
    try {
      const away = await storage.variables.putAway(file, `${MIGRATED}-${crypto.randomUUID().slice(0, 8)}`);
      if (away) log.info("put away UEFI variables that are elsewhere now", { vm, file: away });
    } catch (error) {
      logFailure(log, "warn", "cannot put away UEFI variables that are elsewhere now", error, { vm, file });
    }
  }
}

/** In the names of files whose variables have moved on. */
const MIGRATED = "migrated";

/** Where a VM keeps its variables on this host; undefined: it has none, or they are on shared storage. */
export function localVariables(xml: string): string | undefined {
  const file = variablesFile(xml);
  return file === undefined || isBelow(file, SHARED_ROOT) ? undefined : file;
}

/** Whether a VM keeps its variables on this host; false, if that cannot be told. */
export function hasLocalVariables(xml: string): boolean {
  try {
    return localVariables(xml) !== undefined;
  } catch (error) {
    if (error instanceof VirtxError) return false;
    throw error;
  }
}
