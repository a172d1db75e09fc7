import type { LabHost } from "../../../scripts/lab/host.ts";

/**
 * What is the case in a lab, read from where it is the case: libvirt by virsh, QEMU by the process table, the registry by
 * its files, what virtxd says by plain HTTP. Nothing of virtxd's own code takes part.
 */
export interface Observation {
  readonly hosts: readonly HostObservation[];
  /** The registry's files, by the UUIDs of host and VM in their names. */
  readonly registry: readonly { readonly host: string; readonly vm: string }[];
  /** Files on shared storage that only exist while something is under way. */
  readonly leftovers: readonly string[];
}

/** What is the case on a host. */
export interface HostObservation {
  readonly name: string;
  readonly uuid: string;
  /** Undefined: the host is down. */
  readonly reality: HostReality | undefined;
  /** Undefined: virtxd is not supposed to run there. */
  readonly inventory: Inventory | undefined;
}

export interface HostReality {
  /** What libvirt has, by UUID. */
  readonly domains: ReadonlyMap<string, Domain>;
  /** The UUIDs of all QEMU processes. */
  readonly guests: readonly string[];
}

/** virDomainState and the reason for it, as virsh(1) domstats prints them. */
export interface Domain {
  readonly state: number;
  readonly reason: number;
}

/** What a daemon lists, by UUID: the items' fields. */
export interface Inventory {
  readonly hosts: ReadonlyMap<string, Fields>;
  readonly vms: ReadonlyMap<string, Fields>;
}

export type Fields = Readonly<Record<string, unknown>>;

/** A host to look at. */
export interface Observed {
  readonly host: LabHost;
  /** `http://host:port` of its virtxd; undefined: it is not supposed to run. */
  readonly api: string | undefined;
}

/**
 * Looks at everything once.
 * @throws if something that is supposed to be there does not answer
 */
export async function observe(observed: readonly Observed[]): Promise<Observation> {
  const up: LabHost[] = [];
  for (const { host } of observed) if (await host.isUp()) up.push(host);
  const [storage] = up;
  const [hosts, registry, leftovers] = await Promise.all([
    Promise.all(observed.map((each) => observeHost(each, up.includes(each.host)))),
    storage ? registered(storage) : [],
    storage ? findLeftovers(storage) : [],
  ]);
  return { hosts, registry, leftovers };
}

async function observeHost({ host, api }: Observed, isUp: boolean): Promise<HostObservation> {
  const { name, uuid } = host.record;
  if (!isUp) return { name, uuid, reality: undefined, inventory: undefined };
  const [domains, guests, hosts, vms] = await Promise.all([
    readDomains(host),
    readGuests(host),
    api === undefined ? undefined : list(name, `${api}/hosts`),
    api === undefined ? undefined : list(name, `${api}/vms`),
  ]);
  return { name, uuid, reality: { domains, guests }, inventory: hosts && vms && { hosts, vms } };
}

const ASK_TIMEOUT_MS = 5_000;

async function list(name: string, url: string): Promise<ReadonlyMap<string, Fields>> {
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) });
  } catch (error) {
    throw new Error(`virtxd on ${name} does not answer: ${error instanceof Error ? error.message : error}`);
  }
  const text = await response.text();
  if (response.status !== 200) throw new Error(`virtxd on ${name} answers ${response.status}: ${text}`);
  const { items } = JSON.parse(text) as { items: { uuid: string; fields: Fields }[] };
  return new Map(items.map(({ uuid, fields }) => [uuid, fields]));
}

async function readDomains(host: LabHost): Promise<ReadonlyMap<string, Domain>> {
  const script = "list --all --uuid --name; domstats --state";
  const text = await host.exec(["timeout", "10", "virsh", "--quiet", script]);
  const uuids = new Map(
    [...text.matchAll(/^([0-9a-f-]{36})\s+(\S.*)$/gm)].map(([, uuid = "", name = ""]) => [name.trim(), uuid]),
  );
  const domains = new Map<string, Domain>();
  for (const [, name = "", state, reason] of text.matchAll(STATE)) {
    domains.set(uuids.get(name) ?? name, { state: Number(state), reason: Number(reason) });
  }
  return domains;
}

const STATE = /^Domain: '(.*)'\n\s*state\.state=(\d+)\n\s*state\.reason=(\d+)/gm;

async function readGuests(host: LabHost): Promise<string[]> {
  const guests: string[] = [];
  const proc = await host.path("/proc");
  for await (const { name } of Deno.readDir(proc)) {
    if (!/^\d+$/.test(name)) continue;
    const argv = (await Deno.readTextFile(`${proc}/${name}/cmdline`).catch(() => "")).split("\0");
    const uuid = argv[argv.indexOf("-uuid") + 1];
    if (argv[0]?.includes("qemu-system") && uuid !== undefined) guests.push(uuid);
  }
  return guests;
}

async function registered(host: LabHost): Promise<{ host: string; vm: string }[]> {
  const paths = await find(host, ["-path", "/vms/xml/*/*.xml"]);
  return paths.flatMap((path) => {
    const [, owner, vm] = /^xml\/([^/]+)\/([^./][^/]*)\.xml$/.exec(path) ?? [];
    return owner !== undefined && vm !== undefined ? [{ host: owner, vm }] : [];
  });
}

async function findLeftovers(host: LabHost): Promise<string[]> {
  const underWay = [".journal", ".migrations"].flatMap((name) => ["-o", "-path", `/vms/xml/*/${name}/*`]);
  return await find(host, ["(", "-name", "*.tmp", ...underWay, ")"]);
}

/** Files below /vms, without that prefix. */
async function find(host: LabHost, tests: readonly string[]): Promise<string[]> {
  const { stdout } = await host.run(["find", "/vms", "-type", "f", ...tests, "-printf", "%P\\n"]);
  return stdout.split("\n").filter((path) => path !== ""); // What vanishes while find looks makes it exit with 1.
}
