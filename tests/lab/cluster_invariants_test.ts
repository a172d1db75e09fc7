import assert from "node:assert/strict";
import { numberedUuid } from "../support/vm_info.ts";
import { defineIdleGuest } from "./support/idle_guest.ts";
import { settled, violations } from "./support/invariants.ts";
import {
  type Domain,
  type Fields,
  type HostObservation,
  type Observation,
  observe,
} from "./support/observation.ts";
import { TestLab } from "./support/test_lab.ts";

const ONE = numberedUuid(1);
const TWO = numberedUuid(2);
const THREE = numberedUuid(3);
const RUNNING = numberedUuid(11);
const OFF = numberedUuid(12);
const LOST = numberedUuid(13);

/** What there is to break in an observation. */
class Cluster {
  readonly registry = [{ host: ONE, vm: RUNNING }, { host: TWO, vm: OFF }, { host: THREE, vm: LOST }];
  readonly leftovers: string[] = [];
  readonly one = new Host("virt1", ONE, RUNNING, 1);
  readonly two = new Host("virt2", TWO, OFF, 5);
  readonly three = { name: "virt3", uuid: THREE, reality: undefined, inventory: undefined };

  get observation(): Observation {
    return { ...this, hosts: [this.one.observation, this.two.observation, this.three] };
  }
}

/** A host that is up, in a cluster in order: two hosts are, with a VM each, and one is down. */
class Host {
  readonly domains: Map<string, Domain>;
  readonly guests: string[];
  readonly hosts = new Map<string, Fields>([
    [ONE, { name: "virt1", cstate: 1, ts: Math.random() }],
    [TWO, { name: "virt2", cstate: 1, memoryavailable: Math.random() }],
    [THREE, { name: "virt3", cstate: 3 }],
  ]);
  readonly vms = new Map<string, Fields>([
    [RUNNING, { name: "web", host: ONE, runstate: 4, custom: [], seen: Math.random() }],
    [OFF, { name: "db", host: TWO, runstate: 2, custom: [] }],
    [LOST, { name: "lost", host: THREE, runstate: 0, custom: [] }],
  ]);

  constructor(readonly name: string, readonly uuid: string, vm: string, state: number) {
    this.domains = new Map([[vm, { state, reason: 1 }]]);
    this.guests = state === 1 ? [vm] : [];
  }

  get observation(): HostObservation {
    const { name, uuid, domains, guests, hosts, vms } = this;
    return { name, uuid, reality: { domains, guests }, inventory: { hosts, vms } };
  }
}

/** Each with what is done to a cluster in order, and what the checker has to say. */
const BREACHES: readonly {
  readonly what: string;
  readonly breach: (cluster: Cluster) => void;
  readonly account: RegExp;
}[] = [
  {
    what: "a VM runs twice",
    breach: ({ two }) => two.guests.push(RUNNING),
    account: new RegExp(`VM ${RUNNING} runs more than once: on virt1 and virt2`),
  },
  {
    what: "a VM runs twice on one host",
    breach: ({ one }) => one.guests.push(RUNNING),
    account: new RegExp(`VM ${RUNNING} runs more than once: on virt1 and virt1`),
  },
  {
    what: "two libvirts have a VM",
    breach: ({ two }) => two.domains.set(RUNNING, { state: 5, reason: 1 }),
    account: new RegExp(`VM ${RUNNING} is in the libvirts of virt1 and virt2`),
  },
  {
    what: "two registries have a VM",
    breach: ({ registry }) => registry.push({ host: THREE, vm: RUNNING }),
    account: new RegExp(`VM ${RUNNING} is in the registries of virt1 and virt3`),
  },
  {
    what: "no registry has a VM",
    breach: ({ registry }) => registry.shift(),
    account: new RegExp(`VM ${RUNNING} is in the libvirt of virt1, but not in its registry`),
  },
  {
    what: "a registry has a VM that libvirt has not",
    breach: ({ registry }) => registry.push({ host: TWO, vm: THREE }),
    account: new RegExp(`VM ${THREE} is in the registry of virt2, but not in its libvirt`),
  },
  {
    what: "a daemon does not know a VM",
    breach: ({ two }) => two.vms.delete(RUNNING),
    account: new RegExp(`virt2 does not list VM ${RUNNING}, which is on virt1`),
  },
  {
    what: "a daemon knows a VM that was deleted",
    breach: ({ two }) => two.vms.set(THREE, { host: TWO, runstate: 2 }),
    account: new RegExp(`virt2 lists VM ${THREE}, which is nowhere`),
  },
  {
    what: "all daemons believe that a VM runs which is off",
    breach: ({ one, two }) => [one, two].forEach(({ vms }) => vms.set(OFF, { host: TWO, runstate: 4 })),
    account: new RegExp(`virt1 says of VM ${OFF}: on virt2, runstate 4; true is: on virt2, runstate 2`),
  },
  {
    what: "a VM is shown on another host",
    breach: ({ one }) => one.vms.set(OFF, { host: ONE, runstate: 2 }),
    account: new RegExp(`virt1 says of VM ${OFF}: on virt1, runstate 2; true is: on virt2`),
  },
  {
    what: "a VM of a dead host is shown as running",
    breach: ({ one, two }) => [one, two].forEach(({ vms }) => vms.set(LOST, { host: THREE, runstate: 4 })),
    account: new RegExp(`virt1 says of VM ${LOST}: on virt3, runstate 4; true is: on virt3, runstate 0`),
  },
  {
    what: "a dead host is shown as active",
    breach: ({ one }) => one.hosts.set(THREE, { name: "virt3", cstate: 1 }),
    account: /virt1 says of host virt3: cstate 1, not 2 or 3/,
  },
  {
    what: "a host is not listed",
    breach: ({ one }) => one.hosts.delete(TWO),
    account: /virt1 says of host virt2: cstate undefined/,
  },
  {
    what: "a host is listed that there is not",
    breach: ({ one }) => one.hosts.set(OFF, { cstate: 1 }),
    account: new RegExp(`virt1 lists a host ${OFF} that is none`),
  },
  {
    what: "daemons differ about a name",
    breach: ({ two }) => two.vms.set(OFF, { name: "old", host: TWO, runstate: 2, custom: [] }),
    account: new RegExp(`virt1 and virt2 differ about VM ${OFF}:\n.*"db".*\n.*"old"`),
  },
  {
    what: "something is half-done",
    breach: ({ leftovers }) => leftovers.push("xml/x/.journal/1.json"),
    account: /\/vms\/xml\/x\/\.journal\/1\.json is left/,
  },
];

Deno.test("a cluster in order is in order", () => {
  assert.deepEqual(violations(new Cluster().observation), []);
});

for (const { what, breach, account } of BREACHES) {
  Deno.test(`the checker tells that ${what}`, () => {
    const cluster = new Cluster();
    breach(cluster);
    assert.match(violations(cluster.observation).join("\n"), account);
  });
}

Deno.test("the checker sees what is the case: domains, processes, the registry, what is left", async () => {
  await using lab = await TestLab.up({ hosts: 3 });
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  const observed = [one, two, three].map((host) => ({ host, api: undefined }));
  assert.deepEqual(violations(await observe(observed)), []);

  const vm = await defineIdleGuest(one);
  const registry = `/vms/xml/${one.record.uuid}/${vm}.xml`;
  await one.exec(["mkdir", "-p", `/vms/xml/${one.record.uuid}/.journal`]);
  await one.exec(["tee", registry], { stdin: "<domain/>" });
  await one.exec(["virsh", "start", vm]);
  await settled(observed);

  await defineIdleGuest(two, vm);
  await two.exec(["virsh", "start", vm]);
  await one.exec(["tee", "/vms/ds/.disk.tmp", `/vms/xml/${one.record.uuid}/.journal/1.json`], { stdin: "" });
  await assert.rejects(settled(observed, 500), (error) => {
    const { message } = error as Error;
    assert.match(message, new RegExp(`VM ${vm} runs more than once: on virt1 and virt2`));
    assert.match(message, new RegExp(`VM ${vm} is in the libvirts of virt1 and virt2`));
    assert.match(message, /\.disk\.tmp is left/);
    assert.match(message, /1\.json is left/);
    return true;
  });
  await two.exec(["virsh", "destroy", vm]);
  await two.exec(["virsh", "undefine", vm]);
  await one.exec(["find", "/vms", "-type", "f", "!", "-name", "*.xml", "-delete"]);
  await settled(observed);

  await one.exec(["rm", registry]);
  await assert.rejects(settled(observed, 0), /libvirt of virt1, but not in its registry/);
  await three.crash();
  await one.crash();
  await settled(observed);
  await two.exec(["tee", registry], { stdin: "<domain/>" });
  await settled(observed);
  await assert.rejects(
    settled([{ host: two, api: `http://${two.address}:8080` }], 0),
    /virtxd on virt2 does not answer/,
  );
});
