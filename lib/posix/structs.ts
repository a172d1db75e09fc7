/** sizeof(struct statx), statx(2); the same on every architecture. */
export const STATX_SIZE = 256;
/** STATX_BASIC_STATS: all that stat(2) tells. */
export const STATX_BASIC = 0x7ff;
/** STATX_BTIME: when the file was made, which not every file system knows. */
export const STATX_BTIME = 0x800;
/** STATX_MNT_ID, Linux 5.8: which mount a file is reached by. */
export const STATX_MOUNT_ID = 0x1000;
/** STATX_ATTR_MOUNT_ROOT, Linux 5.8: something is mounted here. */
const ATTR_MOUNT_ROOT = 0x2000n;
/** sizeof(struct statvfs) on 64-bit glibc is 112. */
export const STATVFS_SIZE = 112;

/** ST_RDONLY of statvfs(3). */
const ST_RDONLY = 1n;

const S_IFMT = 0o170000;
const S_IFBLK = 0o060000;

/** struct statx, as far as it is needed. */
export class Statx {
  readonly #view: DataView;

  constructor(buffer: Uint8Array<ArrayBuffer>) {
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  }

  /** Whether it is the root of a mount; an older kernel says of nothing that it is. */
  get isMountRoot(): boolean {
    return (this.#view.getBigUint64(8, true) & ATTR_MOUNT_ROOT) !== 0n;
  }

  /** stx_mnt_id; 0: an older kernel. */
  get mountId(): bigint {
    return this.#view.getBigUint64(144, true);
  }

  /** stx_mode: S_ISBLK. */
  get isBlockDevice(): boolean {
    return (this.#view.getUint16(28, true) & S_IFMT) === S_IFBLK;
  }

  /** stx_ino. */
  get inode(): bigint {
    return this.#view.getBigUint64(32, true);
  }

  /** stx_size, in bytes. */
  get bytes(): bigint {
    return this.#view.getBigUint64(40, true);
  }

  /** stx_btime in nanoseconds since the epoch, or undefined if stx_mask says that the file system does not tell. */
  get born(): bigint | undefined {
    return (this.#view.getUint32(0, true) & STATX_BTIME) === 0 ? undefined : this.#time(80);
  }

  /** stx_mtime in nanoseconds since the epoch. */
  get modified(): bigint {
    return this.#time(112);
  }

  /** stx_rdev_major:stx_rdev_minor, what a device node stands for. */
  get deviceNumber(): string {
    return `${this.#view.getUint32(128, true)}:${this.#view.getUint32(132, true)}`;
  }

  /** stx_dev_major:stx_dev_minor, where the file lies. */
  get fileSystem(): string {
    return `${this.#view.getUint32(136, true)}:${this.#view.getUint32(140, true)}`;
  }

  /** struct statx_timestamp { __s64 tv_sec; __u32 tv_nsec; … }. */
  #time(offset: number): bigint {
    return this.#view.getBigInt64(offset, true) * 1_000_000_000n +
      BigInt(this.#view.getUint32(offset + 8, true));
  }
}

/** f_bavail × f_frsize of struct statvfs (64-bit: f_bsize, f_frsize, f_blocks, f_bfree, f_bavail, … of 8 bytes each). */
export function availableBytes(buffer: Uint8Array<ArrayBuffer>): number {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  return Number(view.getBigUint64(8, true) * view.getBigUint64(32, true));
}

/** Whether f_flag of struct statvfs says that nothing can be written: of the mount, or of what is mounted. */
export function isReadOnly(buffer: Uint8Array<ArrayBuffer>): boolean {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  return (view.getBigUint64(72, true) & ST_RDONLY) !== 0n;
}
