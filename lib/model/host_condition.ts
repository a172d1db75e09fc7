/** What a host can be without while Serf says that it is there, or Serf itself. */
export const HOST_PARTS = ["serf", "virtxd", "libvirt", "storage"] as const;
export type HostPart = (typeof HOST_PARTS)[number];

/** What a host can tell of itself: that its virtxd is away, it cannot. */
export type HostFault = Exclude<HostPart, "virtxd">;

/** Something that a host is without, as it is shown. */
export interface HostCondition {
  readonly part: HostPart;
  /** In words, as the end of a sentence about the host: "libvirt on it is away". */
  readonly reason: string;
  /** UTC milliseconds, on the clock of who shows it. */
  readonly since: number;
}

/** Whether nobody can know what a host's VMs do while it is without that. */
export function hidesVms({ part }: HostCondition): boolean {
  return part === "virtxd" || part === "libvirt";
}

/** That virtxd on a host is away, if that is among its conditions. */
export function virtxdAway(conditions: readonly HostCondition[] = []): HostCondition | undefined {
  return conditions.find(({ part }) => part === "virtxd");
}
