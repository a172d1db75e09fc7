import type { Inventory } from "../cluster/inventory.ts";
import { candidates, compareVerdicts, isOverloaded } from "../cluster/placement.ts";
import type { HostMonitor } from "../host/monitor.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { isDefect } from "../model/defect.ts";
import { enumName, HostState, MigrationType } from "../model/enums.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import { virtxdAway } from "../model/host_condition.ts";
import type { MigrationObstacle, MigrationVerdict, VmMigrateOptions } from "../model/vm.ts";
import type { Storage } from "../storage/storage.ts";
import type { TargetCheck } from "./migration_exchange.ts";
import type { ObstacleCode } from "./migration_obstacles.ts";
import type { MigrationPeers } from "./migration_peers.ts";
import { describeForTarget, type MigrationRequest } from "./migration_request.ts";

/** What a {@link MigrationPlanner} asks. */
export interface MigrationPlannerOptions {
  readonly hypervisor: Hypervisor;
  readonly monitor: HostMonitor;
  readonly inventory: Inventory;
  readonly storage: Storage;
  readonly peers: MigrationPeers;
}

/** Where a migration is to lead. */
export interface MigrationPlan {
  readonly target: string;
  /** The guest has a disk that QEMU's locks do not protect; see Migrations. */
  readonly unlocked: boolean;
  /** It is started when its host is, as it is to be at the target. */
  readonly autostart: boolean;
}

/** How long a host may take to tell whether it can take a VM; it looks at every disk. */
const CHECK_TIMEOUT_MS = 15_000;

/**
 * Finds out where a VM can go. Without the name of a host, the roomiest ones are asked (placement.ts). Those fit that have nothing
 * against it but what is soft, and of them the least loaded is taken: an overloaded one only if there is no other, and one that
 * runs the prototype, of which less can be told, only if not even such a one can take the VM.
 */
export class MigrationPlanner {
  readonly #o: MigrationPlannerOptions;

  constructor(options: MigrationPlannerOptions) {
    this.#o = options;
  }

  /** What each candidate says, or the one that is named, the best one first. */
  async verdicts(uuid: string, definition: string, options: VmMigrateOptions): Promise<MigrationVerdict[]> {
    return await this.#ask(await this.#describe(uuid, definition, options), options);
  }

  /**
   * Decides on the target.
   * @throws VirtxError with all that is in the way as issues: conflict (it could go nowhere), unavailable (no host is active
   *   that could), unreachable, unimplemented (there is no other host at all)
   */
  async plan(
    uuid: string,
    definition: string,
    options: VmMigrateOptions,
    verb: string,
  ): Promise<MigrationPlan> {
    const request = await this.#describe(uuid, definition, options);
    const verdicts = await this.#ask(request, options);
    const [best] = verdicts;
    if (best === undefined || !best.fits) throw this.#refusal(verb, verdicts, options);
    return { target: best.host, unlocked: request.unlocked, autostart: request.autostart };
  }

  #describe(uuid: string, definition: string, { migration_type }: VmMigrateOptions) {
    return describeForTarget(this.#o, uuid, definition, migration_type === MigrationType.live);
  }

  async #ask(
    { check, bound }: MigrationRequest,
    { host }: VmMigrateOptions,
  ): Promise<MigrationVerdict[]> {
    const { inventory, monitor } = this.#o;
    const hosts = host === ""
      ? candidates(inventory.hosts(), monitor.uuid, check.arch, check).map(({ uuid }) => uuid)
      : [host];
    const verdicts = await Promise.all(hosts.map((candidate) => this.#verdict(candidate, check)));
    const tied = bound.map((what) => against("device", `it has ${what}`));
    return verdicts.map((verdict) => adding(verdict, [...tied, ...overload(verdict)])).sort(compareVerdicts);
  }

  async #verdict(host: string, check: TargetCheck): Promise<MigrationVerdict> {
    const { inventory, monitor, peers } = this.#o;
    const known = inventory.host(host);
    const name = known?.def.name ?? host;
    const refused = (code: ObstacleCode, message: string): MigrationVerdict => {
      return { host, name, fits: false, obstacles: [against(code, message)], load: 0 };
    };
    if (known === undefined) return refused("unknown", `host ${host} is not known`);
    if (host === monitor.uuid) return refused("same", "the VM is there already");
    const state = enumName(HostState, known.cstate);
    if (known.cstate !== HostState.active || peers.address(host) === undefined) {
      return refused("inactive", `it is not active but ${state}; Serf and virtxd have to run there`);
    }
    const away = virtxdAway(known.conditions);
    if (away) return refused("away", away.reason);
    try {
      const [verdict, unreached] = await Promise.all([
        peers.check(host, check, AbortSignal.timeout(CHECK_TIMEOUT_MS)),
        this.#way(peers.address(host) ?? "", check.live),
      ]);
      return adding(verdict, unreached);
    } catch (error) {
      if (isDefect(error)) throw error;
      return refused("unreachable", errorMessage(error));
    }
  }

  /** What is in the way from this host's libvirt and QEMU to those of another. */
  async #way(address: string, live: boolean): Promise<MigrationObstacle[]> {
    const { hypervisor } = this.#o;
    const [refusal, isOpen] = await Promise.all([
      hypervisor.reach(address).then(() => undefined, (error) => {
        if (isDefect(error)) throw error;
        return errorMessage(error);
      }),
      !live || hypervisor.reachesQemu(address),
    ]);
    const closed =
      "port 49215 there does not answer: a firewall must let 49152 to 49215 through, or what qemu.conf there has";
    return [
      ...refusal === undefined ? [] : [against("libvirt", refusal)],
      ...isOpen ? [] : [{ ...against("ports", closed), soft: true as const }],
    ];
  }

  #refusal(verb: string, verdicts: readonly MigrationVerdict[], { host }: VmMigrateOptions): VirtxError {
    const issues = verdicts.flatMap(({ name, obstacles }) =>
      obstacles.flatMap(({ message, soft }) =>
        soft ? [] : [{ field: "host", message: `${name}: ${message}` }]
      )
    );
    const told = issues.map(({ message }) => message).join("; ");
    const codes = new Set(verdicts.flatMap(({ obstacles }) => obstacles.map(({ code }) => code)));
    if (host !== "") {
      const kind = codes.has("unknown") || codes.has("inactive") || codes.has("away")
        ? "unavailable"
        : codes.has("unreachable")
        ? "unreachable"
        : "conflict";
      return new VirtxError(kind, `Cannot ${verb}: ${told}`, { issues });
    }
    if (verdicts.length > 0) {
      return new VirtxError("conflict", `Cannot ${verb}: no host can take it: ${told}`, { issues });
    }
    const { inventory, monitor } = this.#o;
    const others = [...inventory.hosts()].filter(({ uuid }) => uuid !== monitor.uuid);
    if (others.length === 0) {
      return new VirtxError("unimplemented", `Cannot ${verb}: there is no other host`);
    }
    if (others.every(({ cstate }) => cstate !== HostState.active)) {
      return new VirtxError(
        "unavailable",
        `Cannot ${verb}: no other host is active; Serf and virtxd have to run there`,
      );
    }
    return new VirtxError(
      "conflict",
      `Cannot ${verb}: no host of its architecture that is active and in order has memory enough; a host that is named (--host) tells how much is lacking`,
    );
  }
}

function adding(verdict: MigrationVerdict, added: readonly MigrationObstacle[]): MigrationVerdict {
  const fits = verdict.fits && added.every(({ soft }) => soft);
  return { ...verdict, fits, obstacles: [...verdict.obstacles, ...added] };
}

function overload({ load }: MigrationVerdict): MigrationObstacle[] {
  if (!isOverloaded(load)) return [];
  const message = `its load would be ${Math.round(100 * load)} %; a host with more room is preferred`;
  return [{ ...against("overloaded", message), soft: true }];
}

function against(code: ObstacleCode, message: string): MigrationObstacle {
  return { code, message };
}
