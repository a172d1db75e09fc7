import { HostState } from "../../model/enums.ts";
import { hostStateText, runstateWord } from "../views/words.ts";
import type { HostItem } from "./hosts.ts";
import type { VmItem } from "./vms.ts";

/** What one host says of the cluster. */
export interface Account {
  readonly address: string;
  readonly hosts: readonly HostItem[];
  readonly vms: readonly VmItem[];
}

/** Something of which hosts say different things. */
export interface Disagreement {
  readonly what: "host" | "vm" | "storage";
  readonly uuid: string;
  readonly name: string;
  readonly field: string;
  readonly said: readonly { readonly address: string; readonly value: string }[];
}

type Described = ReadonlyMap<
  string,
  { readonly name: string; readonly fields: Readonly<Record<string, string>> }
>;

/** Said of what a host does not list. */
const NOT_LISTED = "not known";

/** All that these hosts do not agree upon. How old their news is may differ, and does not count. */
export function disagreements(accounts: readonly Account[]): readonly Disagreement[] {
  return [
    ...storages(accounts.flatMap(({ hosts }) => hosts)),
    ...between("host", accounts.map(({ address, hosts }) => ({ address, all: describeHosts(hosts) }))),
    ...between("vm", accounts.map(({ address, vms }) => ({ address, all: describeVms(vms) }))),
  ];
}

/** That hosts share no storage though they should, by the ids that they tell. */
function* storages(hosts: readonly HostItem[]): Generator<Disagreement> {
  const said = differentStorage(hosts).map(({ name, storage }) => ({ address: name, value: storage }));
  if (said.length > 0) yield { what: "storage", uuid: "", name: "/vms", field: "id", said };
}

/** Each active host with the storage that it tells of, if that is not the same of all. */
export function differentStorage(hosts: readonly HostItem[]): readonly HostItem[] {
  const telling = hosts.filter(({ cstate, storage }) => cstate === HostState.active && storage !== "");
  const byHost = [...new Map(telling.map((host) => [host.uuid, host])).values()];
  return new Set(byHost.map(({ storage }) => storage)).size > 1 ? byHost : [];
}

function describeHosts(hosts: readonly HostItem[]): Described {
  return new Map(
    hosts.map(({ uuid, name, cstate, conditions }) => {
      const state = hostStateText({ cstate, conditions });
      return [uuid, { name, fields: { name, state } }];
    }),
  );
}

function describeVms(vms: readonly VmItem[]): Described {
  return new Map(vms.map(({ uuid, name, host, runstate, vlanid }) => [
    uuid,
    { name, fields: { name, host, state: runstateWord(runstate), vlanid: String(vlanid) } },
  ]));
}

function* between(
  what: Disagreement["what"],
  accounts: readonly { readonly address: string; readonly all: Described }[],
): Generator<Disagreement> {
  const uuids = new Set(accounts.flatMap(({ all }) => [...all.keys()]));
  for (const uuid of uuids) {
    const known = accounts.flatMap(({ all }) => all.get(uuid) ?? []);
    const name = known[0]?.name ?? uuid;
    const isMissing = known.length < accounts.length;
    const fields = isMissing ? ["listed"] : Object.keys(known[0]?.fields ?? {});
    for (const field of fields) {
      const said = accounts.map(({ address, all }) => ({
        address,
        value: valueOf(all.get(uuid)?.fields, field),
      }));
      if (new Set(said.map(({ value }) => value)).size > 1) yield { what, uuid, name, field, said };
    }
  }
}

function valueOf(fields: Readonly<Record<string, string>> | undefined, field: string): string {
  return fields === undefined ? NOT_LISTED : fields[field] ?? "listed";
}
