import type { Command } from "../command.ts";
import { RUNSTATE_SYNONYMS, RUNSTATES, VM } from "./common.ts";
import { VM_DEFINITION_COMMANDS } from "./vm_definition.ts";
import { VM_RUN_COMMANDS } from "./vm_run.ts";

/** What is told of VMs; creating and running them is declared beside. */
const VM_VIEW_COMMANDS: readonly Command[] = [
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
        name: "state",
        formerly: ["runstate"],
        short: "s",
        value: "<state>",
        choices: RUNSTATES,
        synonyms: RUNSTATE_SYNONYMS,
        numbers: true,
        summary: "Only VMs in this state",
      },
      { name: "vlanid", value: "<id>", summary: "Only VMs with this VLAN id; 0: those without" },
      { name: "custom-name", value: "<name>", summary: "Only VMs that have this custom field" },
      { name: "custom-value", value: "<value>", summary: "Only those in which it has this value" },
      {
        name: "sort",
        value: "<key>",
        choices: ["name", "-name", "host", "-host", "state", "-state", "vlanid", "-vlanid", "ts", "-ts"],
        synonyms: new Map([["runstate", "state"], ["-runstate", "-state"]]),
        summary: "Sort by name, host, state, vlanid or ts (the last news); -name: the other way round",
      },
      { name: "limit", value: "<number>", summary: "No more than so many" },
    ],
    examples: [
      { command: "virtx vm list", summary: "All VMs, by name" },
      { command: "virtx vm list --state running --host virt1", summary: "What runs on a host" },
      { command: "virtx vm list -o json", summary: "For scripts" },
      { command: "virtx vm list -o 'template={name} is {state} on {host}'", summary: "In your own words" },
    ],
    load: () => import("../run/vm_list.ts"),
  },
  {
    path: ["vm", "get"],
    summary: "Show all about a VM",
    description:
      "Its definition, state, figures, and the last operation of each kind. -o json and -o yaml have all of it; the " +
      "definition alone, as vm create takes it, is printed by vm export.",
    arguments: [VM],
    flags: [
      {
        name: "state",
        formerly: ["runstate"],
        summary: "Its state and host alone, from memory: works while its host is away",
      },
      { name: "migration", summary: "Its migration that is under way, or the last one" },
    ],
    examples: [
      { command: "virtx vm get web1", summary: "All about web1" },
      { command: "virtx vm get web1 -o yaml", summary: "The same as YAML" },
      { command: "virtx vm get web1 --state", summary: "Only how it is doing" },
      { command: "virtx vm get web1 -o 'template={stats.memory_used} MiB'", summary: "One figure" },
    ],
    load: () => import("../run/vm_get.ts"),
  },
  {
    path: ["vm", "watch"],
    summary: "Follow the states of VMs",
    description:
      "On a terminal the list is kept up to date in place, until Ctrl-C. On a pipe, or with -o json, there is a line for " +
      "each change.",
    arguments: [{ ...VM, many: true, optional: true, summary: "Only these; without them all" }],
    examples: [
      { command: "virtx vm watch", summary: "All VMs" },
      { command: "virtx vm watch web1 db1", summary: "Two of them" },
    ],
    load: () => import("../run/vm_watch.ts"),
  },
  {
    path: ["vm", "wait"],
    summary: "Wait until VMs are in a state",
    description: "Ends with 75 if that takes longer than --timeout.",
    arguments: [{ ...VM, many: true }],
    flags: [
      {
        name: "for",
        value: "<state>",
        choices: [...RUNSTATES, "deleted"],
        synonyms: RUNSTATE_SYNONYMS,
        summary: "The state to wait for; without it running",
      },
    ],
    examples: [
      { command: "virtx vm wait web1 --for running --timeout 2m", summary: "Until it runs" },
    ],
    load: () => import("../run/vm_wait.ts"),
  },
  {
    path: ["vm", "log"],
    summary: "Show what was done with a VM",
    description: "The operations of the last day, from all hosts, the latest first.",
    arguments: [VM],
    flags: [{ name: "limit", value: "<number>", summary: "No more than so many" }],
    examples: [{ command: "virtx vm log web1", summary: "What was done with web1, and what became of it" }],
    load: () => import("../run/vm_log.ts"),
  },
];

const ORDER: readonly string[] = [
  "list",
  "get",
  "create",
  "update",
  "edit",
  "export",
  "delete",
  "start",
  "stop",
  "restart",
  "kill",
  "pause",
  "resume",
  "migrate",
  "console",
  "watch",
  "wait",
  "log",
  "register",
];

/** All commands about VMs, in the order in which one meets them. */
export const VM_COMMANDS: readonly Command[] = [
  ...VM_VIEW_COMMANDS,
  ...VM_DEFINITION_COMMANDS,
  ...VM_RUN_COMMANDS,
].sort((a, b) => ORDER.indexOf(a.path[1] ?? "") - ORDER.indexOf(b.path[1] ?? ""));
