import type { Command } from "../command.ts";
import { HOST } from "./common.ts";

export const HOST_COMMANDS: readonly Command[] = [
  {
    path: ["host", "list"],
    summary: "List the hosts of the cluster",
    flags: [
      { name: "name", short: "n", value: "<text>", summary: "Only hosts with this in their name" },
      {
        name: "state",
        short: "s",
        value: "<state>",
        summary: "Only hosts in this state: active, left, failed",
      },
      { name: "arch", value: "<arch>", summary: "Only hosts of this architecture: x86_64, aarch64" },
      { name: "vendor", value: "<vendor>", summary: "Only hosts with a CPU of this vendor" },
      { name: "memory", short: "m", value: "<size>", summary: "Only hosts with so much memory for VMs left" },
      { name: "hp", value: "<size>", summary: "Only hosts with so much in hugepages left" },
    ],
    examples: [
      { command: "virtx host list", summary: "All hosts, by name" },
      { command: "virtx host list --state active --memory 1GiB", summary: "Where a VM of 1 GiB would fit" },
    ],
    load: () => import("../run/host_list.ts"),
  },
  {
    path: ["host", "get"],
    summary: "Show all about a host",
    description: "Its hardware, its state, what its memory and CPUs are used for, and the VMs on it.",
    arguments: [HOST],
    examples: [
      { command: "virtx host get virt1", summary: "All about virt1" },
      { command: "virtx host get virt1 -o json", summary: "For scripts" },
    ],
    load: () => import("../run/host_get.ts"),
  },
];
