import type { HostStatus } from "./host.ts";
import type { LabRecord } from "./state.ts";

/** Lines of cells as text, each column as wide as its widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, cell.length));
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd() + "\n")
    .join("");
}

/** What `status` prints of a lab. */
export function statusReport(lab: LabRecord, hosts: readonly HostStatus[]): string {
  const word = (yes: boolean) => yes ? "runs" : "down";
  const rows = hosts.map((host) => [
    host.name,
    host.address,
    host.uuid,
    host.pid === undefined ? "down" : `${host.pid}`,
    word(host.libvirtd),
    word(host.serf),
    `${host.guests}`,
  ]);
  return `Lab ${lab.name}: network ${lab.subnet}.0/24 behind ${lab.uplink}\n` +
    table([["HOST", "ADDRESS", "UUID", "PID", "LIBVIRTD", "SERF", "GUESTS"], ...rows]);
}
