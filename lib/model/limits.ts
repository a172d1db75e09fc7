/**
 * The bounds of what a request may hold. Those of the prototype are from protocol.md §1; the others are generous,
 * there to keep a slip of the keyboard or a hostile request from reaching libvirt, QEMU or the disk.
 */

/** Of a request's body, bytes. */
export const BODY_MAX_BYTES = 1024 * 1024;

/** Characters (code points) in the name of a VM, a network or a bridge. */
export const NAME_MAX = 32;

/** Bytes in the name of a Linux network device (IFNAMSIZ less its terminator), so of a bridge. */
export const BRIDGE_NAME_MAX = 15;

/** Disks beside the OS disk. */
export const EXTRA_DISKS_MAX = 20;

export const NETS_MAX = 8;

/** The highest VLAN id that IEEE 802.1Q leaves to users. */
export const VLAN_MAX = 4094;

/** Virtual CPUs of a VM; the machine type may allow fewer. */
export const VCPUS_MAX = 4096;

/** Memory of a VM, MiB: 16 TiB. */
export const MEMORY_MAX_MIB = 16 * 1024 * 1024;

/** A hugepage of the usual size, MiB; memory on hugepages is a multiple of it. */
export const HUGEPAGE_MIB = 2;

/** Virtual size of a disk, MiB: 64 TiB. */
export const DISK_MAX_MIB = 64 * 1024 * 1024;

/** Bytes in a path, and in one component of it (Linux: PATH_MAX less its terminator, NAME_MAX). */
export const PATH_MAX_BYTES = 4095;
export const PATH_COMPONENT_MAX_BYTES = 255;

export const CUSTOM_FIELDS_MAX = 64;
export const CUSTOM_NAME_MAX = 64;
export const CUSTOM_VALUE_MAX = 1024;

/** UTF-16 units of a name or another text of a host or VM that another host tells of. */
export const TOLD_TEXT_MAX = 1024;

/** Custom fields of a VM that another host tells of. */
export const TOLD_FIELDS_MAX = 256;

/** VMs that one host is believed to have. */
export const HOST_VMS_MAX = 50_000;

/** Ranges of the prototype's integers. */
export const INT16_MAX = 0x7fff;
export const INT32_MAX = 0x7fffffff;
