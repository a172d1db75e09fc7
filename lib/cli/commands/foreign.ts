/**
 * What users of virsh, docker, kubectl, incus, qm and xl type by habit, and what it is here. They are told, not obeyed: a
 * word may mean something else where it comes from (`destroy` ends a guest in virsh, and deletes one in qm).
 */

/** Commands about VMs, by the word that stands for them elsewhere. */
const VM_WORDS: readonly (readonly [words: string, ours: string])[] = [
  ["ls ps ll dir", "vm list"],
  ["show info inspect describe dominfo domstate config status", "vm get"],
  ["new add launch init run define clone copy cp", "vm create"],
  ["adopt", "vm import"],
  [
    "set modify change rename domrename setmem setvcpus setmaxmem resize attach-disk attach-interface",
    "vm update",
  ],
  ["dumpxml dump backup", "vm export"],
  ["rm remove del undefine purge", "vm delete"],
  ["destroy", "vm kill, which ends its guest, or vm delete"],
  ["boot up on poweron power-on", "vm start"],
  ["shutdown poweroff power-off halt off down", "vm stop"],
  ["reboot reset", "vm restart"],
  ["suspend freeze hold", "vm pause"],
  ["unpause continue thaw unfreeze", "vm resume"],
  ["move mv evacuate", "vm migrate"],
  ["attach exec ssh terminal tty serial ttyconsole", "vm console"],
  ["logs history journal", "vm log"],
  ["follow", "vm watch"],
  ["stats domstats", "host top <host>"],
];

const HOST_WORDS: readonly (readonly [words: string, ours: string])[] = [
  ["ls ps", "host list"],
  ["show info inspect describe status nodeinfo", "host get"],
  ["stats", "host top"],
  ["drain evacuate cordon maintenance", "vm migrate --selector host=<host>"],
];

const OPERATION_WORDS: readonly (readonly [words: string, ours: string])[] = [
  ["ls ps", "operation list"],
  ["show info inspect describe status", "operation get"],
  ["abort stop kill rm delete", "operation cancel"],
];

/** Words that stand first elsewhere, and are about something else than a VM. */
const FIRST_WORDS: readonly (readonly [words: string, ours: string])[] = [
  ["domain domains guest guests instance instances machine machines server servers container", "vm"],
  ["node nodes hypervisor hypervisors", "host"],
  ["task tasks job jobs", "operation"],
  ["top", "host top"],
  ["nodeinfo", "host get"],
  ["health doctor check", "cluster verify"],
  ["status", "cluster status"],
  ["monitor", "event tail"],
  ["profile profiles context contexts remote remotes", "config"],
];

/** What a command is called here; undefined: the word is not known from elsewhere either. */
export function commandElsewhere(word: string, noun: string): string | undefined {
  const tables: Readonly<Record<string, typeof VM_WORDS>> = {
    "": [...FIRST_WORDS, ...VM_WORDS],
    vm: VM_WORDS,
    host: HOST_WORDS,
    operation: OPERATION_WORDS,
  };
  return tables[noun]?.find(([words]) => words.split(" ").includes(word))?.[1];
}

/** Flags by the names that they have elsewhere; the first of ours that the command has is meant. */
const FLAGS: readonly (readonly [names: string, ours: readonly string[]])[] = [
  ["ram mem maxmem memory-mb", ["--memory"]],
  ["vcpus vcpu cpu cores smp", ["--cpus"]],
  ["cpu-type cpumodel", ["--cpu-model"]],
  ["cdrom iso location", ["--disk path=/vms/ds/<image>.iso"]],
  ["image import boot-disk", ["--disk path=/vms/ds/<image>.qcow2"]],
  ["size disk-size storage-size", ["--disk size=<size>"]],
  ["network bridge nic net0 interface", ["--net bridge=<bridge>"]],
  ["mac", ["--net bridge=<bridge>,mac=<mac>"]],
  ["uefi efi bios boot", ["--firmware"]],
  ["label labels tag tags metadata annotation", ["--custom <name>=<value>"]],
  ["cloud-init cloudinit userdata user", ["--user-data"]],
  ["to target dest destination node on desturi", ["--host"]],
  ["online", ["--live"]],
  ["offline", ["--cold"]],
  ["now hard immediate", ["--force"]],
  ["purge volumes remove-all-storage with-storage destroy-disks destroy-unreferenced-disks", ["--storage"]],
  ["all filter where running", ["--selector <filters>", "--state <state>"]],
  ["status runstate", ["--state"]],
  ["json", ["--output json"]],
  ["yaml", ["--output yaml"]],
  ["format", ["--output <format>"]],
  ["no-trunc wide long all-columns", ["--output wide"]],
  ["detach background async", ["--no-wait"]],
  ["connect url endpoint api address remote", ["--server"]],
  ["context cluster", ["--profile"]],
  ["assume-yes assumeyes", ["--yes"]],
  ["silent", ["--quiet"]],
  ["dryrun check simulate", ["--dry-run"]],
  ["live-migrate", ["--live"]],
  ["max-bandwidth bwlimit speed", ["--bandwidth"]],
];

/** What a flag is called here, of those that the command has. */
export function flagElsewhere(spelling: string, known: readonly string[]): string | undefined {
  const name = spelling.replace(/^--/, "").toLowerCase();
  const ours = FLAGS.find(([names]) => names.split(" ").includes(name))?.[1] ?? [];
  return ours.find((flag) => known.includes(flag.split(" ")[0] ?? ""));
}
