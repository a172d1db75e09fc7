import type { LabHost } from "../host.ts";

const IMAGE = "/vms/small.img";
const FILLER = "/vms/filler";

/**
 * Puts a small file system of its own, an ext4 in a file, where the hosts have their shared storage, until disposed. All
 * of them mount the same block device, which is the same file system to the kernel that they share. It is
 * mounted within the hosts only, and so goes with them at the latest.
 */
export async function smallSharedStorage(
  hosts: readonly LabHost[],
  sizeMiB: number,
): Promise<AsyncDisposable> {
  const [first] = hosts;
  if (!first) throw new Error("Storage is shared among one host at least");
  await using mounts = new AsyncDisposableStack();
  await first.exec(["truncate", `--size=${sizeMiB}M`, IMAGE]);
  mounts.defer(() => cleanUp(first, ["rm", "--force", IMAGE]));
  await first.exec(["mkfs.ext4", "-q", "-m", "0", IMAGE]);
  // mount(8) finds the device of a file that it has mounted before.
  for (const host of hosts) {
    await host.exec(["mount", "-o", "loop", IMAGE, "/vms"]);
    mounts.defer(() => cleanUp(host, ["umount", "--lazy", "/vms"]));
  }
  await first.exec(["mkdir", "/vms/ds"]);
  return mounts.move();
}

/** Takes all the room that the shared storage has, until disposed. Only for {@link smallSharedStorage}! */
export async function fillStorage(host: LabHost): Promise<AsyncDisposable> {
  const type = (await host.exec(["stat", "--file-system", "--format=%b", "/vms"])).trim();
  if (Number(type) > 1 << 20) throw new Error("This is not a small file system: it would fill the machine's");
  await host.run(["dd", "if=/dev/zero", `of=${FILLER}`, "bs=64k", "conv=fsync"]); // fails when all is full
  return { [Symbol.asyncDispose]: () => cleanUp(host, ["rm", "--force", FILLER]) };
}

async function cleanUp(host: LabHost, argv: readonly string[]): Promise<void> {
  if (await host.isUp()) await host.exec(argv);
}
