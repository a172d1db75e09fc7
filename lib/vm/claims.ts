import { ifReadable } from "../domain_xml/if_readable.ts";
import { parseDomainXml } from "../domain_xml/parse.ts";
import { escapeXml } from "../domain_xml/element.ts";
import type { HostMonitor } from "../host/monitor.ts";
import type { FieldIssue } from "../model/error.ts";
import type { Vmdef } from "../model/vm.ts";
import { namedDisks } from "./disks.ts";
import { isExclusive } from "./registered_disks.ts";

/**
 * Who has what only one VM of this host can have: disks, MAC addresses, generation ids. Two guests that write to one image
 * destroy it, so a disk belongs to one VM;
 * CD-ROMs are read-only and LUNs arbitrate by persistent reservations, so those may be shared.
 */
export class DiskClaims {
  readonly #monitor: HostMonitor;
  /** What is claimed in changes under way (see keyOf), and the VM that is to have it. */
  readonly #taken = new Map<string, string>();

  constructor(monitor: HostMonitor) {
    this.#monitor = monitor;
  }

  /**
   * Claims for a VM what only one can have, until the handle is disposed; its issues name each field that another VM of this
   * host has, or is just getting, which then is not claimed.
   *
   * @param old the definition that the VM has: an address that it has already is not looked at again
   */
  take(vm: string, def: Vmdef, old?: Vmdef): Disposable & { readonly issues: readonly FieldIssue[] } {
    const issues = this.issues(vm, def, old);
    const keys = exclusives(def, old).map(keyOf).filter((key) => !this.#taken.has(key));
    for (const key of keys) this.#taken.set(key, vm);
    return {
      issues,
      [Symbol.dispose]: () => {
        for (const key of keys) this.#taken.delete(key);
      },
    };
  }

  /** What other VMs of this host have of what only one can have. */
  issues(vm: string, def: Vmdef, old?: Vmdef): readonly FieldIssue[] {
    return exclusives(def, old).flatMap((wanted) => {
      const getting = this.#taken.get(keyOf(wanted));
      const user = this.#user(wanted, vm) ?? (getting === vm ? undefined : getting);
      return user === undefined
        ? []
        : [{ field: wanted.field, message: `${this.#named(user)} ${wanted.rule}` }];
    });
  }

  /** Another VM of this host than `except` that has the disk. */
  userOf(path: string, except: string): string | undefined {
    return this.#user({ what: "disk", value: path }, except);
  }

  /** What a VM of this host is called, with its UUID. */
  #named(vm: string): string {
    const name = this.#monitor.domain(vm)?.summary.name;
    return name === undefined ? `VM ${vm}` : `VM "${name}" (${vm})`;
  }

  #user(wanted: Pick<Exclusive, "what" | "value">, except: string): string | undefined {
    // Most definitions do not even contain the text, which is far quicker to see than to parse them.
    const text = escapeXml(wanted.value);
    for (const { uuid, xml } of this.#monitor.domains()) {
      if (uuid === except || !xml?.includes(text)) continue;
      if (has(xml, wanted)) return uuid;
    }
    return undefined;
  }
}

/** Whether a definition that has the text in it has it as this; one that cannot be read may. */
function has(xml: string, wanted: Pick<Exclusive, "what" | "value">): boolean {
  const def = ifReadable(() => parseDomainXml(xml).def);
  return def === undefined ||
    exclusives(def).some(({ what, value }) => what === wanted.what && value === wanted.value);
}

/** Something that no two VMs can have. */
interface Exclusive {
  readonly what: "disk" | "mac" | "genid";
  readonly value: string;
  /** Its name in a request. */
  readonly field: string;
  /** What is said of another VM that has it. */
  readonly rule: string;
}

function exclusives(def: Vmdef, old?: Vmdef): readonly Exclusive[] {
  const disks = namedDisks(def).filter(([, disk]) => isExclusive(disk)).map((
    [field, { path }],
  ): Exclusive => ({
    what: "disk",
    value: path,
    field: `${field}.path`,
    rule: `uses disk "${path}"`,
  }));
  const had = new Set(old?.nets.map(({ mac }) => mac));
  const macs = def.nets.flatMap(({ mac }, index): readonly Exclusive[] => {
    if (mac === "" || had.has(mac)) return [];
    const rule = `has the MAC address ${mac}; without one it gets one of its own`;
    return [{ what: "mac", value: mac, field: `vmdef.nets[${index}].mac`, rule }];
  });
  const { genid } = def;
  if (["", "auto", old?.genid].includes(genid)) return [...disks, ...macs];
  const rule = `has the generation id ${genid}; "auto" gives it one of its own`;
  return [...disks, ...macs, { what: "genid", value: genid, field: "vmdef.genid", rule }];
}

function keyOf({ what, value }: Exclusive): string {
  return `${what} ${value}`;
}
