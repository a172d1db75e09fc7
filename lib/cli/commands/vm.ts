import type { Command } from "../command.ts";
import { VM } from "./common.ts";

export const VM_COMMANDS: readonly Command[] = [
  {
    path: ["vm", "list"],
    summary: "List the VMs of the cluster",
    description:
      "From memory, by whatever server answers: also while some hosts are away. The state of a VM whose host is away " +
      'is shown as "unknown", with what its host said last.',
    flags: [
      { name: "name", short: "n", value: "<text>", summary: "Only VMs with this in their name" },
      { name: "host", value: "<host>", kind: "host", summary: "Only VMs on this host" },
      {
        name: "runstate",
        short: "s",
        value: "<state>",
        summary: "Only VMs in this state: running, poweroff, …",
      },
      { name: "vlanid", value: "<id>", summary: "Only VMs with this VLAN id; 0: those without" },
      { name: "custom-name", value: "<name>", summary: "Only VMs that have this custom field" },
      { name: "custom-value", value: "<value>", summary: "… with this value" },
      {
        name: "sort",
        value: "<key>",
        choices: [
          "name",
          "-name",
          "host",
          "-host",
          "runstate",
          "-runstate",
          "vlanid",
          "-vlanid",
          "ts",
          "-ts",
        ],
        summary:
          "Sort by name, host, runstate, vlanid or ts (the time of the last news); -name: the other way",
      },
      { name: "limit", value: "<number>", summary: "No more than so many" },
    ],
    examples: [
      { command: "virtx vm list", summary: "All VMs, by name" },
      { command: "virtx vm list --runstate running --host virt1", summary: "What runs on a host" },
      { command: "virtx vm list -o json", summary: "For scripts" },
      { command: "virtx vm list -o 'template={name} is {state} on {host}'", summary: "In your own words" },
    ],
    load: () => import("../run/vm_list.ts"),
  },
  {
    path: ["vm", "get"],
    summary: "Show all about a VM",
    description:
      "Its definition, state, figures, and the last operation of each kind. -o json and -o yaml print all of it; the " +
      "definition alone, in a form that vm create takes, is printed by vm export.",
    arguments: [VM],
    examples: [
      { command: "virtx vm get web1", summary: "All about web1" },
      { command: "virtx vm get web1 -o yaml", summary: "The same as YAML" },
    ],
    load: () => import("../run/vm_get.ts"),
  },
];
