import { z } from "@hono/zod-openapi";
import { HostState } from "../model/enums.ts";
import type * as model from "../model/host.ts";
import { HOST_PARTS, type HostCondition } from "../model/host_condition.ts";
import { INT32_MAX } from "../model/limits.ts";
import { enumeration, flag, int16, int32, int64, text, timestamp, Uuid } from "./schema_common.ts";

/** The shapes of hosts as they travel (protocol.md §1, §5). No request has them, so nothing is checked against them. */

export const HostStateSchema = enumeration("HostState", "State of a host in the cluster", HostState);

const Cpuarch = z.object({
  arch: text("x86_64 or aarch64"),
  vendor: text("Vendor of the CPU"),
}).openapi("Cpuarch");

const HostCpudef = z.object({
  model: text("CPU model, as libvirt names it"),
  nodes: int16("NUMA nodes"),
  sockets: int16("Sockets in each node"),
  cores: int16("Cores in each socket"),
  threads: int16("Threads of each core"),
}).openapi("HostCpudef");

const Hostdef = z.object({
  name: text("Host name"),
  cpuarch: Cpuarch,
  cpudef: HostCpudef,
  tscfreq: int64("Frequency of the time stamp counter, Hz; 0: unknown"),
  sysinfo: z.object({ version: text("Firmware version"), date: text("Its date, mm/dd/yyyy") }),
  osid: text("ID of os-release(5)"),
  osv: text("VERSION_ID of os-release(5)"),
}).openapi("Hostdef") satisfies z.ZodType<model.Hostdef>;

/** Free and available figures can be below zero: what is promised may exceed what there is. */
function figure(description: string) {
  return int32(description, INT32_MAX, -INT32_MAX - 1);
}

const Hostresource = z.object({
  total: figure("All of it"),
  used: figure("In use"),
  free: figure("total − used"),
  usedos: figure("In use by the host itself"),
  reservedvms: figure("Promised to VMs"),
  usedvms: figure("In use by VMs"),
  availablevms: figure("What further VMs can have: total − reservedvms − usedos"),
}).openapi("Hostresource") satisfies z.ZodType<model.Hostresource>;

/** Beside the prototype's fields. */
const conditions = z.array(
  z.object({
    part: z.enum(HOST_PARTS).openapi({
      description:
        "`serf`: Serf does not reach the host, or on the host that answers the agent is away. `virtxd`: it does not answer, as " +
        "two others have found. `libvirt`, `storage`: the host itself says that they are away or do not answer",
    }),
    reason: text("In words, as the end of a sentence about the host"),
    since: timestamp("When the host that answers learnt of it"),
  }).openapi("HostCondition") satisfies z.ZodType<HostCondition>,
).openapi({
  description:
    "What it is without, as all hosts come to know within 20 s; empty: nothing that is known. A host whose Serf agent " +
    "alone is alive stays active. While virtxd or libvirt is away, nobody knows the state of its VMs (runstate 0)",
});
const seen = timestamp("When it was last heard of, by the clock of the host that answers");
const api = text("URL of its API, as hosts reach it; empty: unknown");
const storage = text("The id of its shared storage; absent: it has not told").optional();
const runs = z.enum(["prototype", "earlier"]).optional().openapi({
  description:
    "What it runs: the prototype, or an earlier version of virtxd. Neither heeds the records of who has a VM or a disk, " +
    "nor the trash. Absent: it runs a version that does",
});

const gone = flag(
  "true: Serf has forgotten it, or never knew it, and it stays here until an administrator removes it; absent: Serf knows it",
).optional();

export const HostSchema = z.object({
  uuid: Uuid,
  def: Hostdef,
  cstate: HostStateSchema,
  lockid: int16("Sanlock id, 1–2000; 0: none"),
  resources: z.object({
    memory: Hostresource.openapi({ description: "Memory without hugepages, MiB" }),
    hp: Hostresource.openapi({ description: "Hugepages, MiB" }),
    cpu: Hostresource.openapi({ description: "CPU, MHz" }),
  }),
  ts: timestamp("When this was measured"),
  conditions,
  seen,
  api,
  storage,
  gone,
  runs,
  storageavailable: int64(
    "Room on the shared storage, which the host that answers sees, MiB; absent: unknown",
  ).optional(),
}).openapi("Host") satisfies z.ZodType<model.Host>;

export const HostListSchema = z.object({
  items: z.array(z.object({
    uuid: Uuid,
    fields: z.object({
      name: text("Host name"),
      cpuarch: Cpuarch,
      cpudef: HostCpudef,
      cstate: HostStateSchema,
      memoryavailable: figure("Memory that further VMs can have, MiB"),
      hpavailable: figure("Hugepages that further VMs can have, MiB"),
      osid: text("ID of os-release(5)"),
      osv: text("VERSION_ID of os-release(5)"),
      ts: timestamp("When this was measured"),
      conditions,
      seen,
      api,
      storage,
      gone,
      runs,
    }).openapi("HostListFields"),
  })),
  next: text("The cursor of the next page; absent on the last").optional(),
}).openapi("HostList");
