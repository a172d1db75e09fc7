import { fileURLToPath } from "node:url";
import { Listeners } from "../../../lib/api/listen.ts";
import type { Api } from "../../../lib/api/app.ts";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { VmBootOptions, VmMigrateOptions, VmShutdownOptions } from "../../../lib/model/vm.ts";
import type { OperationControl } from "../../../lib/vm/operation_course.ts";
import type { BegunMigration } from "../../../lib/vm/use_cases.ts";
import type { CommandOutput } from "../../../scripts/command.ts";
import { run } from "../../../scripts/command.ts";
import { apiFixture, HERE } from "../../support/api_fixture.ts";
import { MemoryVms } from "../../support/memory_vms.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { hostEntry, numberedUuid } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { LabTerminal, type TerminalSize } from "./lab_terminal.ts";

const EXECUTABLE = fileURLToPath(new URL("../../../dist/virtxd", import.meta.url));

/** Use cases whose changes take as long as a test wants, and that remember what was begun. */
export class SlowVms extends MemoryVms {
  /** The names of VMs of which a change was begun, in order. */
  readonly begun: string[] = [];
  /** So many changes are done at once; those behind them wait. */
  quick = 0;
  /** What the others wait for. */
  held = Promise.withResolvers<void>();
  readonly #inventory: Inventory;

  constructor(inventory: Inventory) {
    super(inventory, HERE);
    this.#inventory = inventory;
  }

  override async boot(uuid: string, options: VmBootOptions): Promise<void> {
    if (this.#begin(uuid)) await this.held.promise;
    await super.boot(uuid, options);
  }

  override async shutdown(uuid: string, options: VmShutdownOptions): Promise<void> {
    if (this.#begin(uuid)) await this.held.promise;
    await super.shutdown(uuid, options);
  }

  /** Migrations go to where the VM is: it is only their course that matters. */
  override migrate(
    uuid: string,
    _options: VmMigrateOptions,
    control?: OperationControl,
  ): Promise<BegunMigration> {
    const waits = this.#begin(uuid);
    const { promise: cancelled, reject } = Promise.withResolvers<never>();
    cancelled.catch(() => {});
    control?.signal.addEventListener("abort", () => {
      reject(new VirtxError("cancelled", `Cannot migrate VM "${this.#name(uuid)}": cancelled`));
    });
    const ended = async () => {
      if (waits) await Promise.race([this.held.promise, cancelled]);
      return { host: HERE };
    };
    return Promise.resolve({ ended: ended() });
  }

  /** Whether it has to wait. */
  #begin(uuid: string): boolean {
    this.begun.push(this.#name(uuid));
    return this.begun.length > this.quick;
  }

  #name(uuid: string): string {
    return this.#inventory.vm(uuid)?.name ?? uuid;
  }
}

/** The executable and somebody at a terminal, and an API in this process that does what the test wants. */
export class TerminalDesk implements AsyncDisposable {
  #listeners: Listeners | undefined;
  /** Whether changes are never answered. */
  isMute = false;
  readonly #held = Promise.withResolvers<Response>();
  #port = 0;

  private constructor(
    readonly inventory: Inventory,
    readonly vms: SlowVms,
    readonly home: TempDir,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  /** @param env of the terminal and of what is run, beside what it takes to find the API */
  static async set(
    names: readonly string[],
    env: Readonly<Record<string, string>> = { LANG: "C.UTF-8" },
  ): Promise<TerminalDesk> {
    const inventory = new Inventory();
    inventory.putHost(hostEntry({ uuid: HERE }));
    const vms = new SlowVms(inventory);
    const home = await TempDir.create();
    await Deno.symlink(EXECUTABLE, home.at("virtx"));
    const desk = new TerminalDesk(inventory, vms, home, env);
    for (const [n, name] of names.entries()) {
      await vms.create({ vmdef: { ...SMALL_VMDEF, name }, host: HERE }, numberedUuid(n + 1));
    }
    await desk.serve();
    return desk;
  }

  /** Begins, or begins again, to serve at the same port. */
  async serve(): Promise<void> {
    const { app } = apiFixture({ inventory: this.inventory, vms: this.vms });
    const fetch: Api["fetch"] = (request, connection) =>
      this.isMute && request.method !== "GET" ? this.#held.promise : app.fetch(request, connection);
    const api: Api = { ...app, fetch };
    this.#listeners = await Listeners.open(api, [{ hostname: "127.0.0.1", port: this.#port }]);
    this.#port = Number(new URL(this.#listeners.addresses[0] ?? "").port);
  }

  /** Ends serving, with all that is open. */
  async away(): Promise<void> {
    await this.#listeners?.close(0);
    this.#listeners = undefined;
  }

  get server(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get #env(): Record<string, string> {
    return {
      HOME: this.home.path,
      PATH: `${this.home.path}:/usr/bin:/bin`,
      VIRTX_API_SERVER: this.server,
      ...this.env,
    };
  }

  async terminal(size?: TerminalSize, env: Readonly<Record<string, string>> = {}): Promise<LabTerminal> {
    return await LabTerminal.local({ ...this.#env, ...env }, size);
  }

  /** Runs a line without a terminal. */
  async sh(line: string, env: Readonly<Record<string, string>> = {}): Promise<CommandOutput> {
    return await run(["bash", "-c", line], {
      env: { ...this.#env, ...env },
      clearEnv: true,
      cwd: this.home.path,
    });
  }

  /** Starts all VMs, by no change that is counted. */
  async startAll(): Promise<void> {
    for (const { uuid } of [...this.inventory.vms()]) {
      await MemoryVms.prototype.boot.call(this.vms, uuid, { cloud_init: [] });
    }
  }

  /** The names of VMs in a run state, in order. */
  named(runstate: Runstate): readonly string[] {
    return [...this.inventory.vms()].filter((vm) => vm.runstate === runstate).map(({ name }) => name).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.vms.held.resolve();
    this.#held.resolve(new Response(null, { status: 503 }));
    await this.away();
    await this.home[Symbol.asyncDispose]();
  }
}
