import type { Command, Flag } from "../command.ts";
import { SELECTOR_FLAG, VM, VMS, WAIT_FLAGS, YES_FLAG } from "./common.ts";

const FILE_FLAG: Flag = {
  name: "file",
  short: "f",
  value: "<file>",
  kind: "file",
  summary: "Read the definition from this file (JSON, YAML or TOML); -: from standard input",
};

const DRY_RUN: Flag = {
  name: "dry-run",
  summary: "Only show what would be done, and have the host check it; ends with 1 if it would refuse",
};

const DUPLICATE_NAME: Flag = {
  name: "allow-duplicate-name",
  summary: "Do it even if another VM has that name",
};

const DELETE_STORAGE: Flag = {
  name: "storage",
  short: "s",
  summary: "Also delete the storage of managed disks",
};

/** What a definition consists of, as flags. */
const DEFINITION_FLAGS: readonly Flag[] = [
  { name: "name", value: "<name>", summary: "Its name, at most 32 characters" },
  { name: "cpus", value: "<number>", summary: "Virtual CPUs: 4, or sockets=2,cores=4" },
  {
    name: "cpu-model",
    value: "<model>",
    summary: "host-model, host-passthrough, maximum, or one of libvirt's",
  },
  { name: "memory", short: "m", value: "<size>", summary: "Its memory: 2GiB, 512MiB" },
  { name: "hugepages", summary: "Take the memory from hugepages" },
  { name: "numa-placement", summary: "Let numad place it on the host's NUMA nodes" },
  { name: "firmware", value: "<kind>", choices: ["bios", "uefi"], summary: "bios (the default) or uefi" },
  {
    name: "disk",
    value: "<disk>",
    repeat: true,
    summary: "size=20GiB makes a disk, path=/vms/ds/x.qcow2 takes one; more: bus=, device=cdrom, prov=thick",
  },
  {
    name: "net",
    value: "<net>",
    repeat: true,
    summary: "bridge=br0 or network=default; more: model=e1000, mac=52:54:00:…",
  },
  { name: "vlan", value: "<id>", summary: "VLAN id, or none" },
  { name: "genid", value: "<id>", summary: "Generation id: auto, none, or a UUID" },
  { name: "custom", value: "<name=value>", repeat: true, summary: "A field of your own" },
];

/** Commands that make, change and print definitions. */
export const VM_DEFINITION_COMMANDS: readonly Command[] = [
  {
    path: ["vm", "create"],
    summary: "Create a VM from flags or a definition",
    description:
      "A name, memory and a disk are enough. A definition in a file is JSON, YAML or TOML; flags go before what it says. " +
      "Disks that are not there yet are made, below /vms/ds.\n\n" +
      "A definition of another VM, as vm export prints it, makes one like it when --name gives it another name: it gets disks " +
      "of the same sizes, which are empty, MAC addresses and a generation id of its own. Contents are not copied, and what " +
      "virtxd does not manage, such as an installation image, is used as it is.",
    arguments: [{ name: "file", summary: "The same as --file", kind: "file", optional: true }],
    flags: [
      FILE_FLAG,
      ...DEFINITION_FLAGS,
      {
        name: "host",
        value: "<host>",
        kind: "host",
        summary: "Create it on this host; without it on the one that answers",
      },
      { name: "start", summary: "Start it when it is there" },
      DUPLICATE_NAME,
      DRY_RUN,
      ...WAIT_FLAGS,
    ],
    examples: [
      {
        command: "virtx vm create --name web2 --cpus 2 --memory 256MiB --disk size=64MiB --net bridge=br0",
        summary: "A VM with a new disk",
      },
      { command: "virtx vm create -f web3.yaml --host virt1 --start", summary: "From a file, and start it" },
      {
        command: "virtx vm export web1 | virtx vm create --name web5 -f -",
        summary: "One like another, with empty disks",
      },
      {
        command: "virtx vm create -f web3.yaml --name web4 --memory 512MiB --dry-run",
        summary: "The same but for two things; only to see what it would be",
      },
    ],
    load: () => import("../run/vm_create.ts"),
  },
  {
    path: ["vm", "import"],
    summary: "Make a VM of another tool one of the cluster",
    description:
      "VMs that virsh or virt-manager have made are listed and can be used as they are. To import one records its definition, " +
      "its host and its disks on shared storage, so that the other hosts know them, and give its disks to no other VM. In libvirt " +
      "it stays as it is, no disk is moved or copied, and what ties it to its host is told.\n\n" +
      "With --file a domain is defined anew from libvirt's XML, as virsh dumpxml prints it. Such a file may reach for nothing of the " +
      "host that guests are not given, and its UUID, MAC addresses and disks must be no other VM's.\n\n" +
      "What is kept, changed and refused is shown first; on a terminal you are asked then.",
    arguments: [{
      name: "domain",
      summary: "Its name in libvirt, or its name or UUID as for other commands",
      kind: "vm",
      optional: true,
    }],
    flags: [
      { ...FILE_FLAG, summary: "Define a domain from the XML in this file; -: from standard input" },
      {
        name: "host",
        value: "<host>",
        kind: "host",
        summary: "With --file: define it on this host; without it on the one that answers",
      },
      {
        name: "new-ids",
        summary: "With --file: give it a UUID, MAC addresses and a generation id of its own",
      },
      DUPLICATE_NAME,
      {
        ...DRY_RUN,
        summary: "Only show what would be kept, changed and refused; ends with 1 if it would be refused",
      },
      YES_FLAG,
      ...WAIT_FLAGS,
    ],
    examples: [
      {
        command: "virtx vm import web1 --dry-run",
        summary: "See what importing web1 means",
      },
      {
        command: "virtx vm import -f old1.xml --host virt1 --new-ids --dry-run",
        summary: "See what a copy of the VM in old1.xml would be",
      },
    ],
    load: () => import("../run/vm_import.ts"),
  },
  {
    path: ["vm", "update"],
    summary: "Change the definition of a VM that is off",
    description: "By flags, or by another definition in a file. What changes is shown.",
    arguments: [VM, { name: "file", summary: "The same as --file", kind: "file", optional: true }],
    flags: [
      FILE_FLAG,
      ...DEFINITION_FLAGS,
      { name: "remove-disk", value: "<path>", repeat: true, summary: "Take this disk out" },
      {
        name: "remove-net",
        value: "<mac>",
        repeat: true,
        summary: "Take this interface out; also by its bridge or network",
      },
      { name: "remove-custom", value: "<name>", repeat: true, summary: "Take this custom field out" },
      { ...DELETE_STORAGE, summary: "Also delete the storage of managed disks that are taken out" },
      DUPLICATE_NAME,
      DRY_RUN,
      ...WAIT_FLAGS,
    ],
    examples: [
      {
        command: "virtx vm update web2 --memory 512MiB --cpus 1 --dry-run",
        summary: "See what would change",
      },
      { command: "virtx vm update web2 --memory 512MiB --custom owner=web", summary: "Change it" },
    ],
    load: () => import("../run/vm_update.ts"),
  },
  {
    path: ["vm", "edit"],
    summary: "Change the definition of a VM in an editor",
    description:
      "Opens it in $VISUAL or $EDITOR, else vi. What you changed is shown and asked about before it is done; a mistake " +
      "brings you back to the editor. The VM must be off.",
    arguments: [VM],
    flags: [
      {
        name: "format",
        value: "<format>",
        choices: ["yaml", "json", "toml"],
        summary: "What to edit; without it YAML",
      },
      { ...DELETE_STORAGE, summary: "Also delete the storage of managed disks that are taken out" },
      DUPLICATE_NAME,
      DRY_RUN,
      YES_FLAG,
    ],
    examples: [{ command: "EDITOR=nano virtx vm edit web2", summary: "Edit web2 with nano" }],
    load: () => import("../run/vm_edit.ts"),
  },
  {
    path: ["vm", "export"],
    summary: "Print the definition of a VM, as vm create takes it",
    description:
      "All of it but the contents of its disks, to keep, to make the VM anew, or to make another like it; see vm create.",
    arguments: [VM],
    flags: [
      { name: "format", value: "<format>", choices: ["yaml", "json", "toml"], summary: "Without it YAML" },
      { name: "comments", summary: "Say beside each word of YAML what else it could be" },
    ],
    examples: [
      { command: "virtx vm export web1 > web1.yaml", summary: "Keep it in a file" },
      { command: "virtx vm export web1 --format toml", summary: "As TOML" },
    ],
    load: () => import("../run/vm_export.ts"),
  },
  {
    path: ["vm", "delete"],
    summary: "Delete VMs that are off",
    description:
      "Their storage, UEFI variables included, is kept, unless you ask for it to go. On a terminal you are asked first.\n\n" +
      "Disks that go are away from their paths at once, and wait in the trash for as long as the host keeps it (a day, unless " +
      "it is configured otherwise), or until a new disk needs their room: virtx trash restore puts the VM back with them. " +
      "UEFI variables that the host kept itself go for good.",
    arguments: [VMS],
    flags: [
      DELETE_STORAGE,
      { name: "now", summary: "With --storage: remove the disks for good at once, past the trash" },
      SELECTOR_FLAG,
      YES_FLAG,
      { name: "dry-run", summary: "Only show which" },
      ...WAIT_FLAGS,
    ],
    examples: [
      { command: "virtx vm delete web2 --storage --yes", summary: "With its disks, without a question" },
      {
        command: "virtx vm delete --selector name=test,state=poweroff --dry-run",
        summary: "See which would go",
      },
    ],
    load: () => import("../run/vm_delete.ts"),
  },
  {
    path: ["vm", "register"],
    summary: "Bring the registry on shared storage and libvirt together for a VM",
    description:
      "A VM that libvirt knows is written to the registry; one that only the registry has is defined in libvirt. Needed " +
      "if somebody changed one of them behind virtxd's back, if a host has lost its definitions, and, with --host, to take over " +
      "the VMs of a host that is away: then you are asked first, for nobody can tell whether they run there. A VM that the " +
      "cluster does not know is named by its UUID, and is asked about as well.",
    arguments: [{ ...VM, summary: "Its name or UUID; one that is not known by its whole UUID" }],
    flags: [{
      name: "host",
      value: "<host>",
      kind: "host",
      summary: "The host to register it on; without it its own",
    }, YES_FLAG],
    examples: [
      {
        command: "virtx vm register web1 --host virt1",
        summary: "Put web1 in order on virt1, or take it over to there",
      },
    ],
    load: () => import("../run/vm_register.ts"),
  },
];
