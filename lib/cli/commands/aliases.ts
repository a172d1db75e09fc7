import type { Alias } from "../command.ts";

/** The prototype's own flags for the server. */
const SERVER = { "-A": "--server", "--api-server": "--server", "-D": "", "--debug": "" };

/** Its display switches: there is nothing left to switch on. */
const FIGURES = { "-C": "", "--stat-cpu": "", "-M": "", "--stat-mem": "" };

const HOST = { "-h": "--host" };

/** How the prototype's client spells what ours does. Like there, -h is a host, and help is --help or -?. */
export const ALIASES: readonly Alias[] = [
  {
    from: ["list", "vm"],
    to: ["vm", "list"],
    flags: {
      ...SERVER,
      ...HOST,
      "-n": "--name",
      "-s": "--state",
      "-v": "--vlanid",
      "-N": "--custom-name",
      "-V": "--custom-value",
    },
  },
  {
    from: ["list", "host"],
    to: ["host", "list"],
    flags: { ...SERVER, "-n": "--name", "-a": "--arch", "-v": "--vendor", "-s": "--state", "-H": "--hp" },
  },
  {
    from: ["get", "vm"],
    to: ["vm", "get"],
    flags: {
      ...SERVER,
      ...FIGURES,
      "-k": "",
      "--disk": "",
      "-n": "",
      "--net": "",
      "-K": "",
      "--stat-disk": "",
      "-N": "",
      "--stat-net": "",
    },
  },
  { from: ["get", "runstate", "vm"], to: ["vm", "get", "--state"], flags: SERVER },
  { from: ["get", "migrate", "vm"], to: ["vm", "get", "--migration"], flags: SERVER },
  { from: ["get", "host"], to: ["host", "get"], flags: { ...SERVER, ...FIGURES } },
  { from: ["create", "vm"], to: ["vm", "create"], flags: { ...SERVER, ...HOST } },
  { from: ["update", "vm"], to: ["vm", "update"], flags: SERVER },
  { from: ["delete", "vm"], to: ["vm", "delete", "--yes"], flags: SERVER },
  { from: ["boot", "vm"], to: ["vm", "start"], flags: SERVER },
  { from: ["shutdown", "vm"], to: ["vm", "stop"], flags: SERVER },
  { from: ["pause", "vm"], to: ["vm", "pause"], flags: SERVER },
  { from: ["resume", "vm"], to: ["vm", "resume"], flags: SERVER },
  { from: ["migrate", "vm"], to: ["vm", "migrate"], flags: { ...SERVER, ...HOST } },
  { from: ["abort", "migrate", "vm"], to: ["vm", "migrate", "--abort"], flags: SERVER },
  { from: ["register", "vm"], to: ["vm", "register"], flags: { ...SERVER, ...HOST } },
  { from: ["console", "vm"], to: ["vm", "console"], flags: SERVER },
];
