import { LIBVIRT_PATHS } from "../../lib/libvirt/ffi.ts";
import { libcPaths } from "../../lib/posix/symbols.ts";

/**
 * What the executable may do, as Deno's flags; the same in both of its forms. FFI could get around the rest, so this
 * is not a wall against our own code but against what it could be tricked into.
 */
export function permissionFlags(): readonly string[] {
  return [
    "--no-prompt",
    `--allow-ffi=${[...libcPaths(), ...LIBVIRT_PATHS].join(",")}`,
    "--allow-net", // listens where the configuration says
    "--allow-read", // disks by path, the configuration wherever it is; /proc, /sys and /dev stay closed
    "--allow-write=/vms,/run/virtxd",
    "--allow-run=/usr/bin/qemu-img",
    "--allow-env", // all of it, because finding a misspelt VIRTXD_ variable takes the list of all
  ];
}
