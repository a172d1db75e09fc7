import type { Command } from "../command.ts";
import { HOST, YES_FLAG } from "./common.ts";

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
        choices: ["active", "left", "failed"],
        numbers: true,
        summary: "Only hosts in this state",
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
  {
    path: ["host", "top"],
    summary: "Watch what hosts and their VMs use",
    description:
      "On a terminal in place, until Ctrl-C; on a pipe once. With a host, the VMs on it, the busiest first.",
    arguments: [{ ...HOST, optional: true, summary: "Only this host, VM by VM" }],
    flags: [
      { name: "interval", value: "<time>", summary: "How often to look; without it 2s" },
      { name: "once", summary: "Print it once, also on a terminal" },
      {
        name: "sort",
        value: "<key>",
        choices: ["cpu", "memory", "name"],
        summary: "Sort by cpu (the default), memory or name",
      },
    ],
    examples: [
      { command: "virtx host top --once", summary: "All hosts, once" },
      { command: "virtx host top virt1 --interval 5s", summary: "The VMs of virt1, every five seconds" },
    ],
    load: () => import("../run/host_top.ts"),
  },
  {
    path: ["host", "remove"],
    summary: "Have the cluster forget a host that will not come back",
    description:
      "A host that is away, even one that Serf does not know any more (gone), stays in the lists with its VMs until it is " +
      "removed. An active one is refused: stop virtxd there, and have it leave Serf. So is one where VMs are registered: vm " +
      "register --host takes each over to another host. Nothing is deleted on the shared storage. Should the host come back, it is " +
      "there again. Hosts of earlier versions list it until Serf forgets it.",
    arguments: [{ ...HOST, summary: "Its name or UUID, or the beginning of either; again: its whole UUID" }],
    flags: [
      {
        name: "force",
        summary: "Also if VMs are registered there: they leave the lists, while their files and disks stay",
      },
      YES_FLAG,
    ],
    examples: [
      { command: "virtx host remove virt3", summary: "Forget virt3, where no VM is registered any more" },
      { command: "virtx host remove virt3 --force --yes", summary: "Even if there are, without a question" },
    ],
    load: () => import("../run/host_remove.ts"),
  },
];
