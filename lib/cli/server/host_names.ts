import type { HostItem } from "./hosts.ts";

/** The name of a host by its UUID, for output; the beginning of the UUID of one that is not known. */
export function hostNames(hosts: readonly HostItem[]): (uuid: string) => string {
  const names = new Map(hosts.map(({ uuid, name }) => [uuid, name]));
  return (uuid) => names.get(uuid) ?? (uuid === "" ? "-" : `${uuid.slice(0, 8)}…`);
}
