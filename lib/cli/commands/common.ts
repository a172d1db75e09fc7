import type { Argument, Flag } from "../command.ts";

/** Flags that every command has. */
export const COMMON_FLAGS: readonly Flag[] = [
  {
    name: "server",
    value: "<address,…>",
    summary: "Ask this server: host, host:port, URL or unix:/path; of several, the first that answers",
  },
  { name: "profile", value: "<name>", summary: "Use this profile of the configuration file" },
  {
    name: "output",
    short: "o",
    value: "<format>",
    summary: "How to print: table, wide, json, yaml, name, or template={field} {field}",
  },
  { name: "no-headers", summary: "Print tables without their heading" },
  { name: "no-color", summary: "Print without colours, as NO_COLOR=1 and a pipe have it" },
  { name: "quiet", short: "q", summary: "Print only what was asked for, and errors" },
  { name: "timeout", value: "<time>", summary: "Give up after this long: 30s, 5m, 1h" },
  { name: "help", short: "h", summary: "Print help" },
];

/** Flags of commands that change something. */
export const WAIT_FLAGS: readonly Flag[] = [
  { name: "wait", summary: "Return when it is done (this is the default)" },
  { name: "no-wait", summary: "Return as soon as it has begun, and print the operation" },
];

/** Run states that people ask for. */
export const RUNSTATES: readonly string[] = [
  "running",
  "poweroff",
  "paused",
  "crashed",
  "startup",
  "migrating",
  "terminating",
  "pmsuspended",
  "unknown",
];

/** How the API, and other tools, call some of them. */
export const RUNSTATE_SYNONYMS: ReadonlyMap<string, string> = new Map([
  ["none", "unknown"],
  ["off", "poweroff"],
  ["shutoff", "poweroff"],
  ["stopped", "poweroff"],
]);

/** Names VMs by what they have in common. */
export const SELECTOR_FLAG: Flag = {
  name: "selector",
  short: "l",
  value: "<filters>",
  summary: "All VMs that pass these filters of vm list: state=running,name=web,host=virt1",
};

export const YES_FLAG: Flag = { name: "yes", short: "y", summary: "Do not ask for confirmation" };

/** The VM that a command is about. */
export const VM: Argument = {
  name: "vm",
  summary: "Its name or UUID, or the beginning of either; or host/name",
  kind: "vm",
};

/** The VMs that a command is about; --selector can take their place. */
export const VMS: Argument = {
  name: "vm",
  summary: "Names or UUIDs, or their beginnings; host/name; or use --selector",
  kind: "vm",
  many: true,
  optional: true,
};

export const HOST: Argument = {
  name: "host",
  summary: "Its name or UUID, or the beginning of either",
  kind: "host",
};

export const OPERATION: Argument = {
  name: "operation",
  summary: "Its id, or as much of its beginning as no other has",
  kind: "operation",
};
