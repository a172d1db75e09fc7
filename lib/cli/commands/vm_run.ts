import type { Command, Flag } from "../command.ts";
import { SELECTOR_FLAG, VM, VMS, WAIT_FLAGS, YES_FLAG } from "./common.ts";

const PARALLEL: Flag = {
  name: "parallel",
  value: "<number>",
  summary: "At most so many at a time; without it 8",
};

const BULK: readonly Flag[] = [SELECTOR_FLAG, PARALLEL];

/** -l is --live here, as in the prototype's client. */
const { short: _short, ...MIGRATE_SELECTOR } = SELECTOR_FLAG;

/** Commands that run, stop and move VMs. */
export const VM_RUN_COMMANDS: readonly Command[] = [
  {
    path: ["vm", "start"],
    summary: "Start VMs",
    arguments: [VMS],
    flags: [
      {
        name: "user-data",
        value: "<file>",
        kind: "file",
        summary: "Give the guest this cloud-init user-data",
      },
      { name: "meta-data", value: "<file>", kind: "file", summary: "… this meta-data" },
      { name: "network-config", value: "<file>", kind: "file", summary: "… this network-config" },
      ...BULK,
      ...WAIT_FLAGS,
    ],
    examples: [
      { command: "virtx vm start web1", summary: "Start web1" },
      {
        command: "virtx vm start --selector name=web,state=poweroff",
        summary: "All that are off and called web…",
      },
      { command: "virtx vm start web2 --user-data user-data.yaml", summary: "With a cloud-init document" },
    ],
    load: () => import("../run/vm_start.ts"),
  },
  {
    path: ["vm", "stop"],
    summary: "Shut VMs down",
    description:
      "Presses the power button (ACPI), and waits until the guest has shut itself down; a guest may take its time, or not " +
      "listen: --timeout limits the wait, --force does without the guest.",
    arguments: [VMS],
    flags: [
      { name: "force", short: "f", repeat: true, summary: "End QEMU (SIGTERM); twice: at once (SIGKILL)" },
      ...BULK,
      ...WAIT_FLAGS,
    ],
    examples: [
      { command: "virtx vm stop web1", summary: "Shut web1 down" },
      { command: "virtx vm stop web1 web2 --timeout 60s", summary: "Wait for a minute at most" },
      { command: "virtx vm stop web1 --force", summary: "Do not wait for the guest" },
    ],
    load: () => import("../run/vm_stop.ts"),
  },
  {
    path: ["vm", "restart"],
    summary: "Shut VMs down and start them again",
    arguments: [VMS],
    flags: [
      { name: "force", short: "f", repeat: true, summary: "End QEMU (SIGTERM); twice: at once (SIGKILL)" },
      ...BULK,
    ],
    examples: [
      { command: "virtx vm restart web1 --timeout 2m", summary: "Shut it down, and start it when it is off" },
      { command: "virtx vm restart web1 --force", summary: "Without waiting for the guest" },
    ],
    load: () => import("../run/vm_restart.ts"),
  },
  {
    path: ["vm", "kill"],
    summary: "End VMs at once, as if their power failed",
    description: "SIGKILL to QEMU: what the guest has not written yet is lost.",
    arguments: [VMS],
    flags: [...BULK, YES_FLAG],
    examples: [{ command: "virtx vm kill web1 --yes", summary: "End web1 now" }],
    load: () => import("../run/vm_kill.ts"),
  },
  {
    path: ["vm", "pause"],
    summary: "Hold VMs where they are, in memory",
    arguments: [VMS],
    flags: BULK,
    examples: [{ command: "virtx vm pause web1", summary: "Hold web1" }],
    load: () => import("../run/vm_pause.ts"),
  },
  {
    path: ["vm", "resume"],
    summary: "Let paused VMs go on",
    arguments: [VMS],
    flags: BULK,
    examples: [{ command: "virtx vm resume web1", summary: "Let web1 go on" }],
    load: () => import("../run/vm_resume.ts"),
  },
  {
    path: ["vm", "migrate"],
    summary: "Move VMs to another host",
    description:
      "A VM that runs moves while it runs (live); one that is off moves its definition. Without --host the best host that can " +
      "take it is chosen; --dry-run tells what each host says, and ends with 1 if none can. Ctrl-C asks whether to cancel.\n\n" +
      "Of a host that runs the prototype only its libvirt can be asked; what that cannot tell is a warning. Such a host is taken if " +
      "it is named, or if no other can take the VM.\n\n" +
      "The hosts' libvirt daemons have to reach each other: port 16509 (libvirtd-tcp.socket or virtproxyd-tcp.socket, with " +
      "auth_tcp in libvirtd.conf), and ports 49152 to 49215 for the memory of guests.",
    arguments: [VMS],
    flags: [
      { name: "host", value: "<host>", kind: "host", summary: "To this host; without it the best one" },
      { name: "live", short: "l", summary: "Only if it runs" },
      { name: "cold", summary: "Only if it is off" },
      { name: "deadline", value: "<time>", summary: "How long sending the memory may take" },
      {
        name: "converge",
        value: "<measures>",
        summary:
          "What may be done about a guest that writes faster than it can be sent, several separated by commas: " +
          "downtime, throttle, postcopy, giveup; without it downtime,throttle",
      },
      { name: "bandwidth", value: "<size>", summary: "The most to send each second: 100MiB" },
      { name: "connections", value: "<number>", summary: "Send memory over so many connections" },
      { name: "abort", summary: "Give up the migration that is under way" },
      { name: "dry-run", summary: "Only tell which hosts could take it, and why others cannot" },
      MIGRATE_SELECTOR,
      { ...PARALLEL, summary: "At most so many at a time; without it 2" },
      ...WAIT_FLAGS,
    ],
    examples: [
      { command: "virtx vm migrate web1 --dry-run", summary: "Where it could go" },
      { command: "virtx vm migrate web1 --host virt2", summary: "Move it to virt2" },
      {
        command: "virtx vm migrate --selector host=virt1 --deadline 5m",
        summary: "Move all away from virt1",
      },
    ],
    load: () => import("../run/vm_migrate.ts"),
  },
  {
    path: ["vm", "console"],
    summary: "Use the serial console of a VM",
    description:
      "Connects the terminal with the guest's serial console, whichever host it is on; ^] (Ctrl and the key of ]) leaves it. " +
      "One user at a time has a console: --force takes it. When the connection is lost, or the VM moves to another host, " +
      "the client connects again by itself. Without a terminal the input goes to the guest, and what the guest prints to " +
      "the output, until the guest stops.\n\n" +
      "A serial line knows nothing of the size of terminals. If full-screen programs look wrong, tell the guest: " +
      "stty rows 50 columns 160. A guest of Linux uses the console when its kernel has the parameter console=ttyS0.",
    arguments: [VM],
    flags: [
      { name: "force", short: "f", summary: "Take the console from the user who has it" },
      {
        name: "escape",
        short: "e",
        value: "<key>",
        summary: "Leave with this key, such as ^a for Ctrl-A, or none; without it ^]",
      },
    ],
    examples: [
      { command: "virtx vm console web1", summary: "Log in to web1; ^] leaves" },
      { command: "virtx vm console web1 --force", summary: "Take it from whoever has it" },
    ],
    load: () => import("../run/vm_console.ts"),
  },
];
