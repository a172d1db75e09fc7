import type { Domain, Fields, HostObservation, Observation, Observed } from "./observation.ts";
import { observe } from "./observation.ts";

/** In which time everything must have come to agree. */
const SETTLE_MS = 10_000;
const INTERVAL_MS = 100;

/**
 * Waits until all that must always be true of a cluster at rest is true; see {@link violations}.
 * @returns after how many milliseconds
 * @throws an account of what is not true, if that takes longer than settleMs
 */
export async function settled(observed: readonly Observed[], settleMs = SETTLE_MS): Promise<number> {
  const began = performance.now();
  for (;;) {
    const found = await lookOnce(observed);
    const ms = performance.now() - began;
    if (found.length === 0) return ms;
    if (ms > settleMs) {
      throw new Error(`After ${Math.round(ms)} ms not all is as it must be:\n  ${found.join("\n  ")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}

async function lookOnce(observed: readonly Observed[]): Promise<readonly string[]> {
  try {
    return violations(await observe(observed));
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

/**
 * What is not as it must be, in words; nothing if all is well:
 * - a VM runs at most once, and is known to at most one libvirt;
 * - it is in the registry of exactly one host, the one whose libvirt has it;
 * - all daemons list the same hosts and VMs, and these as libvirt says; those of hosts that are down, as unknown;
 * - nothing is half-done.
 */
export function violations(observation: Observation): readonly string[] {
  return [
    ...placed(observation),
    ...registered(observation),
    ...truthful(observation),
    ...equal(observation),
    ...observation.leftovers.map((path) => `/vms/${path} is left`),
  ];
}

function placed({ hosts }: Observation): string[] {
  const runs = new Map<string, string[]>();
  const defined = new Map<string, string[]>();
  for (const { name, reality } of hosts) {
    for (const guest of reality?.guests ?? []) add(runs, guest, name);
    for (const vm of reality?.domains.keys() ?? []) add(defined, vm, name);
  }
  return [
    ...several(runs).map(([vm, names]) => `VM ${vm} runs more than once: on ${names.join(" and ")}`),
    ...several(defined).map(([vm, names]) => `VM ${vm} is in the libvirts of ${names.join(" and ")}`),
  ];
}

function registered({ hosts, registry }: Observation): string[] {
  const owners = new Map<string, string[]>();
  for (const { host, vm } of registry) add(owners, vm, nameOf(host, hosts));
  const found = several(owners).map(([vm, names]) =>
    `VM ${vm} is in the registries of ${names.join(" and ")}`
  );
  for (const { name, reality } of hosts) {
    for (const vm of reality?.domains.keys() ?? []) {
      if (!owners.get(vm)?.includes(name)) {
        found.push(`VM ${vm} is in the libvirt of ${name}, but not in its registry`);
      }
    }
    for (const [vm, names] of owners) {
      if (reality && names.includes(name) && !reality.domains.has(vm)) {
        found.push(`VM ${vm} is in the registry of ${name}, but not in its libvirt`);
      }
    }
  }
  return found;
}

/** virDomainState → the runstates that the API may show for it (protocol.md §1). */
const RUNSTATES: Readonly<Record<number, readonly number[]>> = {
  1: [4],
  2: [4],
  3: [5],
  4: [7],
  5: [2],
  6: [9],
  7: [8],
};
/** virDomainShutoffReason */
const SHUTOFF_CRASHED = 3;
const HOST_STATES = { active: 1, left: 2, failed: 3 } as const;

function truthful(observation: Observation): string[] {
  const truth = truthOf(observation);
  return observation.hosts.flatMap(({ name, inventory }) => {
    if (!inventory) return [];
    const found: string[] = [];
    for (const host of observation.hosts) {
      const expected = host.reality ? [HOST_STATES.active] : [HOST_STATES.left, HOST_STATES.failed];
      const said = inventory.hosts.get(host.uuid)?.cstate;
      if (!expected.some((cstate) => cstate === said)) {
        found.push(`${name} says of host ${host.name}: cstate ${said}, not ${expected.join(" or ")}`);
      }
    }
    for (const uuid of inventory.hosts.keys()) {
      if (!observation.hosts.some((host) => host.uuid === uuid)) {
        found.push(`${name} lists a host ${uuid} that is none`);
      }
    }
    for (const [vm, { host, runstates }] of truth) {
      const said = inventory.vms.get(vm);
      if (!said) found.push(`${name} does not list VM ${vm}, which is on ${nameOf(host, observation.hosts)}`);
      else if (said.host !== host || !runstates.includes(Number(said.runstate))) {
        const where = typeof said.host === "string" ? nameOf(said.host, observation.hosts) : said.host;
        found.push(
          `${name} says of VM ${vm}: on ${where}, runstate ${said.runstate}; ` +
            `true is: on ${nameOf(host, observation.hosts)}, runstate ${runstates.join(" or ")}`,
        );
      }
    }
    for (const vm of inventory.vms.keys()) {
      if (!truth.has(vm)) found.push(`${name} lists VM ${vm}, which is nowhere`);
    }
    return found;
  });
}

/** Where each VM is and which runstates may be shown: from libvirt where a host is up, otherwise from the registry. */
function truthOf(
  { hosts, registry }: Observation,
): Map<string, { host: string; runstates: readonly number[] }> {
  const truth = new Map<string, { host: string; runstates: readonly number[] }>();
  const down = hosts.filter(({ reality }) => !reality).map(({ uuid }) => uuid);
  for (const { host, vm } of registry) if (down.includes(host)) truth.set(vm, { host, runstates: [0] });
  for (const { uuid, reality } of hosts) {
    for (const [vm, domain] of reality?.domains ?? []) {
      truth.set(vm, { host: uuid, runstates: runstatesOf(domain) });
    }
  }
  return truth;
}

function runstatesOf({ state, reason }: Domain): readonly number[] {
  if (state === 5 && reason === SHUTOFF_CRASHED) return [9];
  return RUNSTATES[state] ?? [];
}

/** What the hosts may differ in: when they learnt it, figures that move all the time, and what the version before does not tell. */
const VOLATILE = ["seen", "ts", "since", "memoryavailable", "hpavailable", "storage", "runs"];

function equal({ hosts }: Observation): string[] {
  const [first, ...others] = hosts.filter(({ inventory }) => inventory !== undefined);
  if (!first?.inventory) return [];
  return others.flatMap((other) => [
    ...differences(first, other, "VM", (host) => host.inventory?.vms),
    ...differences(first, other, "host", (host) => host.inventory?.hosts),
  ]);
}

function differences(
  one: HostObservation,
  other: HostObservation,
  what: string,
  listOf: (host: HostObservation) => ReadonlyMap<string, Fields> | undefined,
): string[] {
  const [theirs, others] = [listOf(one), listOf(other)];
  const uuids = new Set([...theirs?.keys() ?? [], ...others?.keys() ?? []]);
  return [...uuids].flatMap((uuid) => {
    const [mine, yours] = [text(theirs?.get(uuid)), text(others?.get(uuid))];
    if (mine === yours) return [];
    return [`${one.name} and ${other.name} differ about ${what} ${uuid}:\n    ${mine}\n    ${yours}`];
  });
}

function text(fields: Fields | undefined): string {
  if (!fields) return "not listed";
  const isLeftOut = (key: string, value: unknown) =>
    VOLATILE.includes(key) || (key === "conditions" && Array.isArray(value) && value.length === 0);
  return JSON.stringify(fields, (key, value) => isLeftOut(key, value) ? undefined : value);
}

function nameOf(uuid: string, hosts: readonly HostObservation[]): string {
  return hosts.find((host) => host.uuid === uuid)?.name ?? uuid;
}

function add(map: Map<string, string[]>, key: string, value: string): void {
  map.set(key, [...map.get(key) ?? [], value]);
}

function several(map: ReadonlyMap<string, string[]>): [string, string[]][] {
  return [...map].filter(([, values]) => values.length > 1);
}
