/**
 * What was asked for in a campaign and what came of it, as far as who asked can know: the only thing that the checker goes by,
 * beside what it sees. Times are milliseconds of this machine's clock, which all hosts of a lab have.
 */

/** Unknown: no answer came, or one that leaves it open. */
export type Outcome = "open" | "accepted" | "refused" | "unknown";

/** A VM by its title, which no other VM of a campaign has: who asks for a VM and gets no answer does not learn its UUID. */
export interface VmNote {
  readonly title: string;
  uuid: string | undefined;
  /** What other tools have put into its definition, to be found there ever after. */
  readonly foreign: Set<string>;
  /** Other tools are at it, and want to be alone. */
  reserved: boolean;
}

/** Something that somebody did, or asked for. */
export interface Act {
  readonly n: number;
  /** Who did it, of whom it was asked, and what. */
  readonly what: string;
  readonly vm: VmNote | undefined;
  readonly began: number;
  /** Infinity while it is open, or unknown and nobody can tell yet that it is over. */
  ended: number;
  outcome: Outcome;
  /** What was answered. */
  said: string;
  /** What it does to the VM: has it defined, takes it away, moves it. */
  effect: Effect | undefined;
  /** Paths of disks that it gives to the VM. */
  readonly gives: readonly string[];
  /** Paths of disks that it takes from the VM, which keep existing unless `deletes` has them. */
  readonly drops: readonly string[];
  /** Paths of disks that it deletes; "all": whatever the VM has. */
  readonly deletes: readonly string[] | "all";
  /** What it deletes need not wait in the trash. */
  readonly forGood: boolean;
}

export type Effect = "defines" | "removes" | "moves";

/** A file that has a marker at its begin. */
export interface FileNote {
  readonly marker: string;
  readonly path: string;
  /** When the file was made, by the file system. */
  readonly born: number;
  /** Somebody removed it with rm(1). */
  removedByHand: boolean;
}

export class Ledger {
  readonly acts: Act[] = [];
  readonly vms = new Map<string, VmNote>();
  readonly files = new Map<string, FileNote>();
  /** Until when all that was asked for had come to an end. */
  settledAt = 0;
  #titles = 0;

  /** A VM that nobody has asked for yet. */
  newVm(): VmNote {
    const title = `vm${++this.#titles}`;
    const note: VmNote = { title, uuid: undefined, foreign: new Set(), reserved: false };
    this.vms.set(title, note);
    return note;
  }

  vmOf(uuid: string): VmNote | undefined {
    return this.vms.values().find((vm) => vm.uuid === uuid);
  }

  /** Writes down that something begins. */
  begin(
    what: string,
    vm: VmNote | undefined,
    means: Partial<Pick<Act, "effect" | "gives" | "drops" | "deletes" | "forGood">> = {},
  ): Act {
    const act: Act = {
      n: this.acts.length + 1,
      what,
      vm,
      began: Date.now(),
      ended: Infinity,
      outcome: "open",
      said: "",
      effect: means.effect,
      gives: means.gives ?? [],
      drops: means.drops ?? [],
      deletes: means.deletes ?? [],
      forGood: means.forGood ?? false,
    };
    this.acts.push(act);
    return act;
  }

  /** Writes down how it ended. */
  end(act: Act, outcome: Outcome, said = ""): void {
    act.outcome = outcome;
    act.said = said;
    if (outcome !== "unknown") act.ended = Date.now();
  }

  /** All hosts are there and idle: what nobody knows the end of is over as well. */
  settle(): void {
    this.settledAt = Date.now();
    for (const act of this.acts) act.ended = Math.min(act.ended, this.settledAt);
  }

  /** What was seen of a VM at rest goes for what nobody knew before. */
  saw(vm: VmNote, isDefined: boolean): void {
    const { must, may } = this.existence(vm);
    if (isDefined === must && isDefined === may) return;
    const what = `"${vm.title}" is seen ${isDefined ? "to be there" : "not to be there"}`;
    this.end(this.begin(what, vm, { effect: isDefined ? "defines" : "removes" }), "accepted");
  }

  /** Whether something is done with a VM, or may still have an effect on it. */
  isBusy(vm: VmNote): boolean {
    return this.acts.some((act) => act.vm === vm && act.ended === Infinity);
  }

  /** Whether a migration of it has begun since everything was settled. */
  mayMove(vm: VmNote): boolean {
    return this.#of(vm).some((act) => act.effect === "moves" && act.ended > this.settledAt);
  }

  /** Whether it must be defined now, and whether it may be; only while nothing is done. */
  existence(vm: VmNote): { readonly must: boolean; readonly may: boolean } {
    const acts = this.#of(vm);
    const last = (effect: Effect) =>
      acts.findLast((act) => act.effect === effect && act.outcome === "accepted")?.began ?? -Infinity;
    const [defined, removed] = [last("defines"), last("removes")];
    const may = acts.some((act) => act.effect === "defines" && act.ended >= removed);
    const mayLack = acts.some((act) => act.effect === "removes" && act.ended >= defined);
    return { must: defined > -Infinity && !mayLack, may };
  }

  /** The acts that may have made a VM have a file. */
  claims(vm: VmNote, file: FileNote): boolean {
    return this.#of(vm).some((act) => act.gives.includes(file.path) && act.ended >= file.born);
  }

  /** The VMs that may have a file, with one deletion each that may have taken it; none: it was not to be deleted. */
  deletions(file: FileNote): Act[] {
    return this.acts.filter((act) => {
      const { vm, deletes } = act;
      if (vm === undefined || act.outcome === "refused" || act.ended < file.born) return false;
      if (deletes !== "all" && !deletes.includes(file.path)) return false;
      return this.claims(vm, file) && !this.#hadDropped(vm, file, act);
    });
  }

  /** Whether an act may have removed the VM's files for good. */
  forGood(file: FileNote): boolean {
    return this.acts.some((act) =>
      act.forGood && act.outcome !== "refused" && act.ended >= file.born &&
      (act.vm === undefined || this.claims(act.vm, file))
    );
  }

  /** The latest acts, a line each. */
  tail(count: number, about?: (act: Act) => boolean): string[] {
    const acts = about === undefined ? this.acts : this.acts.filter(about);
    return acts.slice(-count).map((act) => {
      const ms = act.ended === Infinity ? "…" : `${act.ended - act.began} ms`;
      const at = new Date(act.began).toISOString().slice(11, 23);
      return `#${act.n} ${at} ${act.what}: ${act.outcome} (${ms}) ${act.said}`.slice(0, 300);
    });
  }

  /** Whether the VM had given the file up before a deletion, and has not got it again. */
  #hadDropped(vm: VmNote, { path }: FileNote, deletion: Act): boolean {
    const dropped = this.#of(vm).findLast((act) =>
      act.outcome === "accepted" && act.ended < deletion.began && act.drops.includes(path)
    );
    return dropped !== undefined &&
      !this.#of(vm).some((act) => act.gives.includes(path) && act.ended > dropped.began);
  }

  /** What was not refused. */
  #of(vm: VmNote): Act[] {
    return this.acts.filter((act) => act.vm === vm && act.outcome !== "refused");
  }
}
