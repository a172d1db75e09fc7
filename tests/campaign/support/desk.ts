import { DiskManagement, DiskProvisioning, MigrationType } from "../../../lib/model/enums.ts";
import type { Disk, Vmdef } from "../../../lib/model/vm.ts";
import { disk, SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { type CheckedCluster, noteFile } from "./checker.ts";
import { type Answer, ask } from "./http.ts";
import type { Act, Ledger, Outcome, VmNote } from "./ledger.ts";

/** MiB of a guest, which stops at its firmware. */
const MEMORY_MIB = 48;
const DISK_MIB = 1;

/** A disk that is made, or one that is there. */
export interface DiskWish {
  readonly path: string;
  readonly isNew: boolean;
}

/** Who asks one host for things, and writes down what comes of it. */
export class Desk {
  constructor(readonly cluster: CheckedCluster, readonly at: number) {}

  get ledger(): Ledger {
    return this.cluster.ledger;
  }

  /** @param on a host; undefined: the one that is asked */
  async create(wish: DiskWish, on?: number, vm = this.ledger.newVm()): Promise<Outcome> {
    const target = on === undefined ? "" : this.#uuid(on);
    const what = `create "${vm.title}" with ${text(wish)}${on === undefined ? "" : ` on ${this.#name(on)}`}`;
    const act = this.#begin(what, vm, { effect: "defines", gives: [wish.path] });
    const vmdef = { ...SMALL_VMDEF, name: vm.title, memory: memory(0), osdisk: wanted(wish) };
    const answer = await this.#ask(act, "POST", "/vms", { vmdef, host: target });
    if (act.outcome !== "accepted") return act.outcome;
    vm.uuid = String(answer.body);
    if (wish.isNew) await noteFile(this.cluster, wish.path);
    return act.outcome;
  }

  /** Changes the memory, and adds or removes a disk. */
  async update(
    vm: VmNote,
    change: { readonly add?: DiskWish; readonly remove?: boolean; readonly deletestorage?: boolean },
    careful = false,
  ): Promise<Outcome> {
    const got = await ask(`${this.#url}/vms/${vm.uuid}`, "GET");
    const { def } = got.body as { def?: Vmdef };
    if (got.status !== 200 || !def) return "refused";
    const dropped = change.remove ? def.disks.slice(0, 1) : [];
    const added = change.add === undefined ? [] : [change.add];
    const { deletestorage = false } = change;
    const paths = dropped.map(({ path }) => path);
    const what = [
      `update "${vm.title}"`,
      ...added.map((wish) => `with ${text(wish)}`),
      ...paths.map((path) => `without ${path}`),
      deletestorage ? "deleting storage" : "",
    ].join(" ");
    const act = this.#begin(what, vm, {
      gives: added.map(({ path }) => path),
      drops: paths,
      deletes: deletestorage ? paths : [],
    });
    const vmdef: Vmdef = {
      ...def,
      memory: memory(def.memory.total),
      disks: [...def.disks.slice(dropped.length), ...added.map(wanted)],
    };
    const headers = careful && got.etag !== undefined ? { "if-match": got.etag } : {};
    await this.#ask(act, "PUT", `/vms/${vm.uuid}`, { vmdef, deletestorage }, headers);
    if (act.outcome === "accepted" && change.add?.isNew) await noteFile(this.cluster, change.add.path);
    return act.outcome;
  }

  async delete(vm: VmNote, deletestorage: boolean, now = false): Promise<Outcome> {
    const what = `delete "${vm.title}"${deletestorage ? " with storage" : ""}${now ? ", now" : ""}`;
    const act = this.#begin(what, vm, {
      effect: "removes",
      deletes: deletestorage ? "all" : [],
      forGood: deletestorage && now,
    });
    await this.#ask(act, "DELETE", `/vms/${vm.uuid}`, { deletestorage, ...now && { now } });
    return act.outcome;
  }

  async boot(vm: VmNote): Promise<Outcome> {
    return await this.#simple(`boot "${vm.title}"`, vm, "POST", "/runstate/boot");
  }

  async forceOff(vm: VmNote): Promise<Outcome> {
    return await this.#simple(`force "${vm.title}" off`, vm, "DELETE", "/runstate/boot", { force: 2 });
  }

  async pause(vm: VmNote): Promise<Outcome> {
    return await this.#simple(`pause "${vm.title}"`, vm, "POST", "/runstate/pause");
  }

  async resume(vm: VmNote): Promise<Outcome> {
    return await this.#simple(`resume "${vm.title}"`, vm, "DELETE", "/runstate/pause");
  }

  async migrate(vm: VmNote, to: number, isLive: boolean): Promise<Outcome> {
    const what = `migrate "${vm.title}" ${isLive ? "live" : "cold"} to ${this.#name(to)}`;
    const act = this.#begin(what, vm, { effect: "moves" });
    const migration_type = isLive ? MigrationType.live : MigrationType.cold;
    await this.#ask(act, "POST", `/vms/${vm.uuid}/runstate/migrate`, {
      host: this.#uuid(to),
      migration_type,
    });
    // It has begun; nobody waits for its end.
    if (act.outcome === "accepted") this.ledger.end(act, "unknown", "begun");
    return act.outcome;
  }

  async register(vm: VmNote, on: number): Promise<Outcome> {
    const act = this.#begin(`register "${vm.title}" on ${this.#name(on)}`, vm, { effect: "defines" });
    await this.#ask(act, "PUT", `/vms/${vm.uuid}/register`, { host: this.#uuid(on) });
    return act.outcome;
  }

  /** Does something with one of the entries of the trash: `choose` takes one of so many. */
  async trash(what: "restore" | "empty", choose: (count: number) => number): Promise<Outcome> {
    const list = await ask(`${this.#url}/trash`, "GET");
    const { items = [] } = list.body as {
      items?: { id: string; vm: string; name: string; definition: boolean }[];
    };
    const entry = items[choose(items.length)];
    if (entry === undefined) return "refused";
    const vm = this.ledger.vmOf(entry.vm) ?? this.ledger.vms.get(entry.name);
    if (what === "empty") {
      const act = this.#begin(`empty ${entry.id} of "${entry.name}" from the trash`, vm, { forGood: true });
      await this.#ask(act, "DELETE", `/trash/${entry.id}`);
      return act.outcome;
    }
    const act = this.#begin(`restore ${entry.id} of "${entry.name}"`, vm, {
      ...entry.definition && { effect: "defines" },
    });
    const answer = await this.#ask(act, "POST", `/trash/${entry.id}/restore`, { host: "" });
    const isBack = (answer.body as { vm?: string }).vm !== "";
    if (act.outcome === "accepted" && !isBack) act.effect = undefined;
    return act.outcome;
  }

  async #simple(what: string, vm: VmNote, method: string, path: string, body?: unknown): Promise<Outcome> {
    const act = this.#begin(what, vm);
    await this.#ask(act, method, `/vms/${vm.uuid}${path}`, body);
    return act.outcome;
  }

  #begin(what: string, vm: VmNote | undefined, means: Parameters<Ledger["begin"]>[2] = {}): Act {
    return this.ledger.begin(`${this.#name(this.at)}: ${what}`, vm, means);
  }

  async #ask(
    act: Act,
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const answer = await ask(this.#url + path, method, body, headers);
    this.ledger.end(act, outcomeOf(answer), said(answer));
    return answer;
  }

  get #url(): string {
    return this.#host(this.at).api;
  }

  #host(n: number) {
    const host = this.cluster.hosts[n - 1];
    if (!host) throw new Error(`There is no host ${n}`);
    return host;
  }

  #uuid(n: number): string {
    return this.#host(n).host.record.uuid;
  }

  #name(n: number): string {
    return this.#host(n).host.name;
  }
}

/** Failures with which a request may have had its effect all the same. */
const UNSURE = [0, 500, 502, 503, 504];

function outcomeOf({ status, text }: Answer): Outcome {
  if (status >= 200 && status < 300) return "accepted";
  return UNSURE.includes(status) || text.includes("half-way") ? "unknown" : "refused";
}

function said({ status, text, body }: Answer): string {
  const { detail } = body as { detail?: string };
  return `${status} ${status >= 200 && status < 300 ? "" : detail ?? text}`.trim();
}

function wanted({ path, isNew }: DiskWish): Disk {
  const made = { prov: DiskProvisioning.thin, size: DISK_MIB };
  return disk(path, { man: DiskManagement.managed, ...isNew && made });
}

function memory(before: number): Vmdef["memory"] {
  return { total: before === MEMORY_MIB ? MEMORY_MIB + 16 : MEMORY_MIB, hp: false };
}

function text({ path, isNew }: DiskWish): string {
  return `${isNew ? "a new" : "the"} disk ${path}`;
}
