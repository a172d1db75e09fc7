import type { Command } from "../command.ts";

export const CLUSTER_COMMANDS: readonly Command[] = [
  {
    path: ["cluster", "status"],
    summary: "Show how the cluster is doing, on one page",
    description:
      "Hosts and VMs by their states, what the hosts have left, what is under way, what the server that answers finds amiss, and which hosts " +
      "heed nothing of what virtxd records on the shared storage, as they run the prototype or an earlier version. Ends with 1 if a host has failed or does not answer, if its virtxd, " +
      "libvirt or storage is away, or if hosts have different storage.",
    examples: [
      { command: "virtx cluster status", summary: "The whole cluster" },
      { command: "virtx cluster status -o json", summary: "For monitoring" },
    ],
    load: () => import("../run/cluster_status.ts"),
  },
  {
    path: ["cluster", "verify"],
    summary: "Ask every host what it knows, and compare",
    description:
      "Each active host is asked directly for its lists of hosts and VMs, at the addresses that --addresses gives, or by " +
      "its name. What they do not agree upon is shown, and whether they share their storage; what was changing meanwhile is looked at again. Ends with 1 if " +
      "they disagree, if a host could not be asked, or if one says that something is wrong: that libvirt is away on a host, or that two hosts have a VM.",
    flags: [
      {
        name: "addresses",
        value: "<address,…>",
        summary:
          "Where the hosts' servers are: host, host:port or URL; without it each host's name, port 8080",
      },
    ],
    examples: [
      {
        command: "virtx cluster verify",
        summary: "Ask every active host",
      },
      {
        command: "virtx cluster verify --addresses virt1,virt2:8080",
        summary: "Compare what two hosts say",
      },
    ],
    load: () => import("../run/cluster_verify.ts"),
  },
];

export const EVENT_COMMANDS: readonly Command[] = [
  {
    path: ["event", "tail"],
    summary: "Follow what changes in the cluster",
    description:
      "A line for each change of a host, a VM or an operation, anywhere in the cluster, until Ctrl-C. When the server goes " +
      "away, another is asked; what was missed meanwhile is told.",
    flags: [
      {
        name: "type",
        value: "<type>",
        choices: ["host", "vm", "operation"],
        repeat: true,
        summary: "Only these",
      },
      { name: "vm", value: "<vm>", kind: "vm", summary: "Only what concerns this VM" },
      { name: "count", value: "<number>", summary: "End after so many" },
    ],
    examples: [
      { command: "virtx event tail --timeout 3s", summary: "For three seconds" },
      {
        command: "virtx event tail --type vm -o json --timeout 3s",
        summary: "Changes of VMs, a line of JSON each",
      },
    ],
    load: () => import("../run/event_tail.ts"),
  },
];
