import { VirtxError } from "../model/error.ts";
import type { FaultHook } from "../model/fault.ts";
import { isBelow, LOCAL_VARIABLES_ROOT, VARIABLES_ROOT, variablesPath } from "../model/paths.ts";
import { AtomicDirectory } from "../posix/atomic_directory.ts";
import type { Files } from "../posix/files.ts";
import { LocalFiles } from "../posix/local_files.ts";
import { onStorage } from "../posix/storage_error.ts";
import type { Tree } from "../posix/tree.ts";
import { nameBelowRoot, splitName } from "./location.ts";

/** Twice what the largest firmware (of aarch64) has for its variables. */
const LIMIT_BYTES = 128 << 20;
/** The head of a firmware volume: 16 bytes of zeros and others, before a signature (UEFI PI specification, volume 3). */
const HEAD_BYTES = 64, SIGNATURE = "_FVH", SIGNATURE_AT = 40;
/** That of qcow2. */
const QCOW2 = "QFI\xfb";

/**
 * UEFI variables of VMs: on shared storage, /vms/ds/nvram/<vm uuid>.fd, where every host finds them. libvirt makes such a file from the
 * firmware's template when the VM first starts, and hands it to QEMU's user, as it does with disks; here is what that needs, and
 * what takes the variables there of a VM whose libvirt has kept them on its own host.
 */
export class FirmwareVariables {
  readonly #shared: AtomicDirectory;
  readonly #tree: Tree;
  readonly #local: Files;

  /**
   * @param tree /vms/ds
   * Fault points: `written`, `renamed`.
   */
  constructor(tree: Tree, fault: FaultHook, local: Files = new LocalFiles()) {
    this.#tree = tree;
    this.#local = local;
    this.#shared = new AtomicDirectory({ tree, directory: DIRECTORY, mode: DIRECTORY_MODE, fault });
  }

  /** Makes the directory in which libvirt is to make the file. */
  async prepare(): Promise<void> {
    await onStorage("Cannot make room for UEFI variables", () => this.#tree.make(DIRECTORY, DIRECTORY_MODE));
  }

  /** Why a file of the host cannot be taken to shared storage; undefined: it can, or is not there (the VM has never run). */
  async objection(path: string): Promise<string | undefined> {
    if (!isBelow(path, LOCAL_VARIABLES_ROOT) || path.includes("/../")) {
      return `UEFI variables at ${path}, which is neither on shared storage nor where libvirt keeps them; ` +
        "move them below /vms first (virsh edit)";
    }
    const facts = await this.#local.lstat(path);
    if (facts === undefined) return undefined;
    if (!facts.isFile) return `UEFI variables at ${path} that are no regular file`;
    if (facts.size > LIMIT_BYTES) {
      return `UEFI variables at ${path} of ${facts.size} bytes, which is too much`;
    }
    const head = await this.#local.readStart(path, HEAD_BYTES);
    return isVariables(head) ? undefined : `UEFI variables at ${path} that are no firmware volume`;
  }

  /**
   * Copies a file of this host to where the VM's variables are on shared storage, over what is there; durably, and as a whole.
   * @throws VirtxError conflict, if it is no such file
   */
  async adopt(vm: string, path: string): Promise<void> {
    const objection = await this.objection(path);
    if (objection !== undefined) throw new VirtxError("conflict", `Cannot move it: it has ${objection}`);
    await onStorage(`Cannot copy UEFI variables ${path} to ${variablesPath(vm)}`, async () => {
      const content = await this.#local.read(path, LIMIT_BYTES);
      if (content === undefined) return await this.#tree.make(DIRECTORY, DIRECTORY_MODE);
      await this.#shared.write(fileName(vm), () => content, FILE_MODE);
    });
  }

  /** Renames a file of this host, so that it is not used again when the VM comes back; none is fine. What it is called then. */
  async putAway(path: string, suffix: string): Promise<string | undefined> {
    if (await this.objection(path) !== undefined || await this.#local.lstat(path) === undefined) {
      return undefined;
    }
    const away = `${path}.${suffix}`;
    await this.#local.rename(path, away);
    return away;
  }
}

const DIRECTORY = nameBelowRoot(VARIABLES_ROOT);
/** QEMU, which may not be root, has to get through; as libvirt has it for its own. */
const DIRECTORY_MODE = 0o755, FILE_MODE = 0o600;

function fileName(vm: string): string {
  return splitName(nameBelowRoot(variablesPath(vm))).base;
}

/** A firmware volume, raw or in qcow2; or raw and blank, as some templates are. */
function isVariables(head: Uint8Array): boolean {
  const text = String.fromCharCode(...head);
  return text.startsWith(QCOW2) || text.startsWith(SIGNATURE, SIGNATURE_AT) ||
    (head.length === HEAD_BYTES && head.every((byte) => byte === 0 || byte === 0xff));
}
