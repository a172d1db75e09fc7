import { DiskProvisioning } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { errnoCode } from "../posix/errno.ts";
import type { Libc } from "../posix/libc.ts";
import { type DiskFacts, toMiB } from "./image.ts";

/**
 * The block devices that VMs may have: those that the configuration allows, by the very path that a definition
 * gives, or by a pattern in which `*` stands for anything within one directory (/dev/disk/by-id/dm-uuid-mpath-*).
 * They are looked at, never created, deleted or written to.
 */
export class BlockDevices {
  readonly #libc: Libc;
  readonly #allowed: readonly RegExp[];

  constructor(libc: Libc, patterns: readonly string[]) {
    this.#libc = libc;
    this.#allowed = patterns.map(toRegExp);
  }

  /** Whether the configuration allows this path. */
  allows(path: string): boolean {
    return this.#allowed.some((pattern) => pattern.test(path));
  }

  /** VirtxError: denied (not allowed), invalid (no such device, or none at all), storage. */
  inspect(path: string): DiskFacts {
    if (!this.allows(path)) {
      throw new VirtxError(
        "denied",
        "the configuration of this host does not allow this block device; --block-devices of virtxd would",
      );
    }
    const sizeMiB = toMiB(this.#bytes(path));
    if (sizeMiB === 0) throw new VirtxError("invalid", "it is empty");
    return { sizeMiB, prov: DiskProvisioning.none, format: "raw", physicalMiB: sizeMiB, dirty: false };
  }

  /** {@link Libc.blockDeviceName}, of a device that {@link inspect} accepts. */
  name(path: string): string | undefined {
    return this.#libc.blockDeviceName(path);
  }

  #bytes(path: string): number {
    try {
      return this.#libc.blockDeviceBytes(path);
    } catch (error) {
      const code = errnoCode(error);
      if (code === "ENOENT") throw new VirtxError("invalid", "it does not exist", { cause: error });
      if (code === "ENOTBLK") throw new VirtxError("invalid", "it is not a block device", { cause: error });
      if (code === "EXDEV") throw new VirtxError("invalid", "it leads out of /dev", { cause: error });
      throw new VirtxError("storage", error instanceof Error ? error.message : String(error), {
        cause: error,
      });
    }
  }
}

function toRegExp(pattern: string): RegExp {
  return new RegExp(`^${pattern.split("*").map(RegExp.escape).join("[^/]*")}$`);
}
