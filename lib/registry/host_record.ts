import { z } from "zod";
import type { Hostdef } from "../model/host.ts";
import { INT16_MAX } from "../model/limits.ts";
import type { Tree } from "../posix/tree.ts";
import { isUuid } from "../model/uuid.ts";
import { Generations } from "./generations.ts";

/** What is recorded of a host, for when nobody can be asked about it. */
export interface HostRecord {
  readonly host: string;
  readonly def: Pick<Hostdef, "name" | "cpuarch" | "cpudef" | "osid" | "osv">;
}

export type HostRecords = Generations<HostRecord>;

/** Characters of a text in a record: more than any has. */
export const RECORDED_TEXT_MAX = 256;
const Text = z.string().max(RECORDED_TEXT_MAX);
const Count = z.int().min(0).max(INT16_MAX);

/** Fields that are not known are left out, so that later versions can add some. */
const StoredHost: z.ZodType<HostRecord> = z.object({
  host: z.string().refine(isUuid),
  def: z.object({
    name: Text,
    cpuarch: z.object({ arch: Text, vendor: Text }),
    cpudef: z.object({ model: Text, nodes: Count, sockets: Count, cores: Count, threads: Count }),
    osid: Text,
    osv: Text,
  }),
});

/** Where they are, from /vms; a directory for each host. */
export const HOST_RECORDS = ".virtxd/hosts";

/**
 * The hosts of the cluster, by their UUID. Each records itself, others one that does not (of an earlier version, or the
 * prototype). A key that is free: an administrator has removed the host; it stays for good, a directory for each such host, since
 * Serf, the registry or another host may still name it. So these are never swept.
 */
export function hostRecords(tree: Tree): HostRecords {
  return new Generations<HostRecord>({
    tree,
    directory: HOST_RECORDS,
    schema: StoredHost,
    called: "which hosts there are",
  });
}
