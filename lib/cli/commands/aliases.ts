import type { Alias } from "../command.ts";

/** How the prototype's client spells what ours does; its display switches have nothing left to switch. */
export const ALIASES: readonly Alias[] = [
  {
    from: ["list", "vm"],
    to: ["vm", "list"],
    flags: {
      "-n": "--name",
      "-h": "--host",
      "-s": "--runstate",
      "--state": "--runstate",
      "-v": "--vlanid",
      "-N": "--custom-name",
      "-V": "--custom-value",
      "-A": "--server",
      "--api-server": "--server",
    },
  },
  {
    from: ["list", "host"],
    to: ["host", "list"],
    flags: {
      "-n": "--name",
      "-a": "--arch",
      "-v": "--vendor",
      "-s": "--state",
      "-m": "--memory",
      "-H": "--hp",
      "-A": "--server",
      "--api-server": "--server",
    },
  },
  {
    from: ["get", "vm"],
    to: ["vm", "get"],
    flags: {
      "-k": "",
      "--disk": "",
      "-n": "",
      "--net": "",
      "-K": "",
      "--stat-disk": "",
      "-N": "",
      "--stat-net": "",
      "-C": "",
      "--stat-cpu": "",
      "-M": "",
      "--stat-mem": "",
      "-A": "--server",
      "--api-server": "--server",
    },
  },
  {
    from: ["get", "host"],
    to: ["host", "get"],
    flags: {
      "-C": "",
      "--stat-cpu": "",
      "-M": "",
      "--stat-mem": "",
      "-A": "--server",
      "--api-server": "--server",
    },
  },
];
