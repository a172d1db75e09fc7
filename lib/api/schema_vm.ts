import { z } from "@hono/zod-openapi";
import {
  DiskBus,
  DiskDevice,
  DiskManagement,
  DiskProvisioning,
  Firmware,
  MigrationState,
  MigrationType,
  NetModel,
  NetType,
  Runstate,
} from "../model/enums.ts";
import {
  CUSTOM_FIELDS_MAX,
  CUSTOM_NAME_MAX,
  CUSTOM_VALUE_MAX,
  DISK_MAX_MIB,
  EXTRA_DISKS_MAX,
  MEMORY_MAX_MIB,
  NAME_MAX,
  NETS_MAX,
  VCPUS_MAX,
  VLAN_MAX,
} from "../model/limits.ts";
import { normaliseVmdef } from "../model/normalise.ts";
import { RECORDED_OPERATIONS } from "../model/operation.ts";
import * as model from "../model/vm.ts";
import { HostStateSchema } from "./schema_host.ts";
import {
  enumeration,
  flag,
  hostWish,
  int16,
  int32,
  int64,
  list,
  text,
  timestamp,
  Uuid,
} from "./schema_common.ts";

/**
 * The shapes of VMs as they travel (protocol.md §1). What a request may leave out has the zero value of the prototype, whose
 * sample definitions do. Here types, ranges and unknown fields are checked; texts and what fields mean together are
 * rules of the model.
 */

export const RunstateSchema = enumeration("Runstate", "State of a VM", Runstate);

const Cpudef = z.strictObject({
  model: text("A CPU model of libvirt, or host-model, host-passthrough, maximum").openapi({
    example: "maximum",
  }),
  nodes: int16("NUMA nodes; 0: 1", VCPUS_MAX).optional(),
  sockets: int16("Sockets in each node; 0: 1", VCPUS_MAX).optional(),
  cores: int16("Cores in each socket; 0: 1", VCPUS_MAX).optional(),
  threads: int16("Threads of each core: 1, but for a VM that has more already; 0: 1", VCPUS_MAX).optional(),
}).openapi("Cpudef", { description: "CPU model and topology" });

/** Characters of a definition that is imported; libvirt's own are seldom longer than 20,000. */
export const XML_MAX = 500_000;
export const UUID_OR_NOTHING = /^$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const Disk = z.strictObject({
  path: text("Absolute: an image below /vms/ds (.qcow2, .raw, .iso) or a block device below /dev")
    .openapi({ pattern: "^/(vms/ds|dev)/", example: "/vms/ds/web1/root.qcow2" }),
  device: enumeration("DiskDevice", "What the guest sees", DiskDevice).optional(),
  bus: enumeration("DiskBus", "What a disk is attached to", DiskBus).optional(),
  man: enumeration("DiskManagement", "Whether virtxd creates and deletes the storage", DiskManagement)
    .optional(),
  prov: enumeration(
    "DiskProvisioning",
    "How the storage is (to be) provisioned; none: it exists",
    DiskProvisioning,
  )
    .optional(),
  size: int32("Virtual size, MiB; 0: that of the existing storage", DISK_MAX_MIB).optional(),
}).openapi("Disk", { description: "A disk, CD-ROM or LUN" });

const Net = z.strictObject({
  name: text("Name of the libvirt network or of the bridge").openapi({ minLength: 1, maxLength: NAME_MAX }),
  nettype: enumeration("NetType", "What an interface connects to", NetType).optional(),
  model: enumeration("NetModel", "The network card that the guest sees", NetModel).optional(),
  mac: text("MAC address with colons; empty: one is chosen").optional()
    .openapi({ pattern: "^$|^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$", example: "52:54:00:12:34:56" }),
}).openapi("Net", { description: "A network interface" });

const CustomField = z.strictObject({
  name: text("Name").openapi({ minLength: 1, maxLength: CUSTOM_NAME_MAX }),
  value: text("Value").optional().openapi({ maxLength: CUSTOM_VALUE_MAX }),
}).openapi("CustomField", { description: "A field of the user's own" });

/** A definition as it arrives; what is left out is completed, and so is what Go writes as null. */
export const VmdefSchema = z.strictObject({
  name: text("Name; need not be unique").openapi({ minLength: 1, maxLength: NAME_MAX, example: "web1" }),
  cpudef: Cpudef,
  memory: z.strictObject({
    total: int32("MiB", MEMORY_MAX_MIB, 1),
    hp: flag("Backed by hugepages").optional(),
  }),
  numa: z.strictObject({ placement: flag("Let numad place the guest").optional() }).optional(),
  osdisk: Disk,
  disks: list(Disk, EXTRA_DISKS_MAX, "Disks beside the OS disk"),
  nets: list(Net, NETS_MAX, "Network interfaces"),
  vlanid: int16("VLAN id; 0: none", VLAN_MAX).optional(),
  firmware: enumeration("Firmware", "bios is machine type pc, uefi is q35", Firmware).optional(),
  genid: text('Generation id; empty: none; "auto": generated; else a UUID').toLowerCase().optional(),
  custom: list(CustomField, CUSTOM_FIELDS_MAX, "Custom fields"),
}).transform(normaliseVmdef).openapi("Vmdef", { description: "The definition of a VM" }) satisfies z.ZodType<
  model.Vmdef
>;

export const VmruninfoSchema = z.object({
  runstate: RunstateSchema,
  host: Uuid.openapi({ description: "UUID of the host that the VM is on" }),
  reason: z.enum(model.RUNSTATE_REASONS).optional().openapi({
    description:
      "Of VmGet. io_error: QEMU has paused the guest because a disk could not be read or written, or is full; host_away: its host " +
      "is not active, this is what it has registered on the shared storage; not_defined: only the registry of its host has it",
  }),
}).openapi("Vmruninfo") satisfies z.ZodType<model.Vmruninfo>;

/** What is said beside the prototype's fields of how much the others are worth. */
const worth = {
  lastrunstate: RunstateSchema.openapi({
    description: "What its host said last; runstate is none while that host is not active",
  }),
  cstate: HostStateSchema.openapi({ description: "State of its host in the cluster" }),
  seen: timestamp("When its host last confirmed this, by the clock of the host that answers"),
};

export const VmRunstateSchema = VmruninfoSchema.extend(worth).openapi("VmRunstate");

const OperationSchema = z.object({
  op: z.enum(RECORDED_OPERATIONS),
  ts: timestamp("Start"),
  te: timestamp("End; 0 while it is under way"),
  status: z.enum(["started", "failed", "completed"]),
  msg: text("Why it failed, or empty"),
}).openapi("Operation", { description: "The last operation of its kind on a VM" });

const Vmstats = z.object({
  cpu_utilization: int32("100 is one CPU fully used"),
  mhz_used: int32("MHz"),
  memory_capacity: int64("MiB"),
  memory_used: int64("MiB"),
  disk_capacity: int64("MiB"),
  disk_allocation: int64("MiB"),
  disk_physical: int64("MiB"),
  net_rx_bw: int32("KiB/s"),
  net_tx_bw: int32("KiB/s"),
  oplog: z.object({ items: z.array(OperationSchema) }),
}).openapi("Vmstats") satisfies z.ZodType<model.Vmstats>;

export const VmSchema = z.object({
  uuid: Uuid,
  def: VmdefSchema,
  libvirtname: text(
    "What libvirt calls a VM that other tools have made, if it has a title, which is its name here",
  ).optional(),
  flaw: text("Why the definition cannot be read, or is not told now: then def is no more than a part of it")
    .optional(),
  runinfo: VmruninfoSchema,
  stats: Vmstats,
  ts: timestamp("When this was measured"),
}).openapi("Vm") satisfies z.ZodType<model.Vm>;

export const LibvirtDomainsSchema = z.object({
  items: z.array(z.object({ uuid: Uuid, libvirtname: text("Its name in libvirt") })),
}).openapi("LibvirtDomains");

export const VmListSchema = z.object({
  items: z.array(z.object({
    uuid: Uuid,
    fields: z.object({
      name: text("Name"),
      host: Uuid,
      runstate: RunstateSchema,
      vlanid: int16("VLAN id; 0: none", VLAN_MAX),
      custom: z.object({ name: text("Name"), value: text("Value") })
        .openapi({ description: "The custom field that was filtered by, else the first, else an empty one" }),
      ts: timestamp("When this was last known"),
      ...worth,
    }).openapi("VmListFields"),
  })),
  next: text("The cursor of the next page; absent on the last").optional(),
}).openapi("VmList");

export const VmCreateOptionsSchema = z.strictObject({
  vmdef: VmdefSchema,
  host: hostWish("Host to create it on; empty: the one that is asked"),
}).openapi("VmCreateOptions") satisfies z.ZodType<model.VmCreateOptions>;

export const VmUpdateOptionsSchema = z.strictObject({
  vmdef: VmdefSchema,
  deletestorage: flag("Also delete the storage of managed disks that the new definition no longer has")
    .default(false),
}).openapi("VmUpdateOptions") satisfies z.ZodType<model.VmUpdateOptions>;

export const VmDeleteOptionsSchema = z.strictObject({
  deletestorage: flag("Also delete the storage of managed disks").default(false),
  now: flag("Have the storage be gone at once, instead of waiting in the trash (GET /trash)").default(false),
}).openapi("VmDeleteOptions") satisfies z.ZodType<model.VmDeleteOptions>;

export const VmBootOptionsSchema = z.strictObject({
  cloud_init: list(
    z.strictObject({ name: z.enum(model.CLOUD_INIT_NAMES), value: text("The document, as it is") }),
    model.CLOUD_INIT_NAMES.length,
    "NoCloud documents; given, a seed is attached for this boot",
  ),
}).openapi("VmBootOptions") satisfies z.ZodType<model.VmBootOptions>;

export const VmShutdownOptionsSchema = z.strictObject({
  force: z.literal([0, 1, 2]).default(0).openapi({
    type: "integer",
    format: "int16",
    enum: [0, 1, 2],
    description: "0: press the ACPI power button; 1: SIGTERM to QEMU; 2: SIGKILL to QEMU",
  }),
}).openapi("VmShutdownOptions") satisfies z.ZodType<model.VmShutdownOptions>;

/** Those that no guest is worse off for than by a longer pause. */
const DEFAULT_MEASURES: readonly model.ConvergenceMeasure[] = ["downtime", "throttle"];

export const VmMigrateOptionsSchema = z.strictObject({
  host: hostWish("Target host"),
  migration_type: enumeration("MigrationType", "Of a stopped or a running VM", MigrationType)
    .default(MigrationType.cold),
  deadline: int32("How long the guest's memory may take to be sent, seconds; 0: as long as it takes")
    .default(0),
  convergence: z.array(z.enum(model.CONVERGENCE_MEASURES)).max(model.CONVERGENCE_MEASURES.length).nullish()
    .transform((measures) => measures ?? DEFAULT_MEASURES).openapi({
      description:
        "What may be done about a guest that writes faster than its memory can be sent: let it stand still for longer " +
        "at the end (downtime), slow it down (throttle), let it run on the target before its memory is there " +
        "(postcopy), or leave it where it is (giveup). Left out: downtime and throttle. With a deadline, post-copy " +
        "begins or the migration is given up when it has passed",
    }),
  bandwidth: int32("The most to send, MiB/s; 0: no limit").default(0),
  connections: int16("Over how many connections memory is sent in parallel; 0: one", 64).default(0),
}).openapi("VmMigrateOptions") satisfies z.ZodType<model.VmMigrateOptions>;

export const VmImportOptionsSchema = z.strictObject({
  host: hostWish("Host that has the domain, or is to have it; empty: the one that is asked"),
  vm: text("UUID of a domain of that host's libvirt; empty: it is in xml").default("")
    .openapi({ pattern: UUID_OR_NOTHING.source }),
  xml: text("Definition of a new domain, as libvirt has it (XML); empty: libvirt has the domain").default("")
    .openapi({ maxLength: XML_MAX }),
  newids: flag("Of a definition in xml: give it a UUID, MAC addresses and a generation id of its own")
    .default(false),
}).openapi("VmImportOptions");

export const VmRegisterOptionsSchema = z.strictObject({
  host: hostWish("Host to register it on; empty: the one that is asked"),
}).openapi("VmRegisterOptions") satisfies z.ZodType<model.VmRegisterOptions>;

export const MigrationInfoSchema = z.object({
  state: enumeration("MigrationState", "State of the migration", MigrationState),
  progress: z.object({
    total: int64("MiB"),
    transferred: int64("MiB; pages that are sent again count again"),
    remaining: int64("MiB"),
    rate: z.number().openapi({ format: "float", description: "MiB/s" }),
    dirtyrate: z.number().openapi({
      format: "float",
      description: "How fast the guest writes to its memory, MiB/s",
    }),
    iteration: int32("How many times memory has been gone through"),
    downtime: int32("For how long the guest will stand still, as expected, or did, ms"),
    downtimelimit: int32("For how long it may, ms"),
    timeleft: int64("Until the end, if the guest goes on as it does, ms; 0: unknown"),
    throttle: int16("How much of its processor time the guest is kept from, percent"),
  }),
  source: text("UUID of the host that it leads away from; empty: not known any more"),
  target: text("UUID of the host that it leads to; empty: not known any more"),
  ts: timestamp("Start"),
  te: timestamp("End; 0 while it is under way"),
  reason: text("Why it failed or was cancelled; else empty"),
}).openapi("MigrationInfo") satisfies z.ZodType<model.MigrationInfo>;

const DefinitionIssue = z.object({
  field: text("The field of the request that it is about"),
  message: text("What there is to say of it"),
}).openapi("DefinitionIssue");

export const DefinitionVerdictSchema = z.object({
  host: Uuid,
  name: text("Name of the host"),
  fits: flag("Whether it could be done"),
  obstacles: z.array(DefinitionIssue).openapi({ description: "All that is in the way; empty if it fits" }),
  warnings: z.array(DefinitionIssue).openapi({
    description: "What is not in the way but may surprise, such as a VM that could not start there",
  }),
}).openapi("DefinitionVerdict") satisfies z.ZodType<model.DefinitionVerdict>;

export const ImportVerdictSchema = DefinitionVerdictSchema.extend({
  vm: Uuid.openapi({ description: "UUID that the VM has, or would have" }),
  vmname: text("Its name"),
  keeps: z.array(text("What stays as it is")),
  changes: z.array(text("What is done")),
}).openapi("ImportVerdict") satisfies z.ZodType<model.ImportVerdict>;

export const MigrationVerdictSchema = z.object({
  host: Uuid,
  name: text("Name of the host"),
  fits: flag("Whether the VM can go there"),
  obstacles: z.array(z.object({
    code: text("A word for the class of obstacle"),
    message: text("What is in the way"),
    soft: z.literal(true).optional().openapi({
      description: "It only speaks for another host: the VM can go there all the same",
    }),
  })).openapi({ description: "All that speaks against it; if it fits, what is soft" }),
  load: z.number().openapi({ description: "How loaded it would be, 0 to 1 and beyond" }),
}).openapi("MigrationVerdict") satisfies z.ZodType<model.MigrationVerdict>;
