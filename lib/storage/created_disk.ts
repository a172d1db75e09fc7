/**
 * The names under which a disk comes into being: it is made ready under the temporary one, then linked to its path.
 * The temporary name stays until the disk is committed and proves, by its inode, that the file at the path is ours.
 * All paths as in the definition (below /vms/ds).
 */
export interface CreatedDisk {
  readonly path: string;
  readonly temp: string;
  /** Directories that were missing when it was planned, outermost first. */
  readonly directories: readonly string[];
}
