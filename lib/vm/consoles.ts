import type { Inventory } from "../cluster/inventory.ts";
import { hasConsole } from "../domain_xml/character_devices.ts";
import type { HostMonitor } from "../host/monitor.ts";
import type { Console } from "../libvirt/console.ts";
import { DomainState, ErrorCode } from "../libvirt/constants.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { VirtxError } from "../model/error.ts";

/**
 * How a VM's console ended: its guest has `stopped` or `moved` to another host, another user has `taken` the console, libvirt
 * is `lost`, what the guest printed was `unread` for too long, or what was typed `untaken`; `closed`: by its user.
 */
export type ConsoleFate = "stopped" | "moved" | "taken" | "lost" | "unread" | "untaken" | "closed";

export interface ConsoleEnding {
  readonly fate: ConsoleFate;
  /** In words, with names. */
  readonly reason: string;
}

/** The serial console of a VM of this host: raw bytes, for one user at a time. */
export interface VmConsole {
  /** The next bytes that the guest printed; undefined: it has ended, and that was all. */
  read(): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Types; resolves when the guest's line has it. What comes after the end goes nowhere. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Lets go of it. */
  close(): void;
  readonly ended: Promise<ConsoleEnding>;
}

export interface ConsoleUseCases {
  /**
   * Opens the console of a VM of this host.
   * @param o.force takes it from the user who has it
   * @throws VirtxError not_found; conflict: the VM does not run, or another user has its console; unavailable
   */
  open(uuid: string, o: { readonly force: boolean }): Promise<VmConsole>;
}

/** virDomainShutoffReason */
const SHUTOFF_MIGRATED = 4;
/** How long it may take until it is known where a guest went that is no longer here. */
const SEARCH_MS = 10_000;
/** A guest that stops ends its console first. libvirt still shows it running until it has noticed that QEMU has ended. */
const STOP_MS = 3_000;
const LOOK_MS = 100;

export interface VmConsolesOptions {
  readonly hypervisor: Pick<Hypervisor, "console" | "state" | "liveXml">;
  readonly monitor: Pick<HostMonitor, "domain" | "uuid">;
  readonly inventory: Pick<Inventory, "vm" | "host">;
}

/** The consoles of this host's VMs. */
export class VmConsoles implements ConsoleUseCases {
  readonly #o: VmConsolesOptions;

  constructor(options: VmConsolesOptions) {
    this.#o = options;
  }

  async open(uuid: string, { force }: { readonly force: boolean }): Promise<VmConsole> {
    const { hypervisor, monitor } = this.#o;
    if (monitor.domain(uuid) === undefined) {
      throw new VirtxError("not_found", `Cannot open the console of VM ${uuid}: there is no such VM`);
    }
    const name = this.#nameOf(uuid);
    const terminal = await hypervisor.console(uuid, { force }).catch((error) =>
      this.#refuse(error, uuid, name)
    );
    return {
      read: () => terminal.read(),
      write: (bytes) => terminal.write(bytes),
      close: () => terminal.end({ kind: "closed", reason: "its user has gone" }),
      ended: this.#ending(terminal, uuid, name),
    };
  }

  async #ending(terminal: Console, uuid: string, name: string): Promise<ConsoleEnding> {
    const { kind, reason } = await terminal.ended;
    switch (kind) {
      case "ended":
        return await this.#fate(uuid, name);
      case "unread":
        return { fate: kind, reason: "Too slow: the guest's output was not taken in time, and some is lost" };
      case "untaken":
        return { fate: kind, reason: `VM "${name}" takes no input; is it paused, or hung?` };
      case "taken":
        return { fate: kind, reason: `Another user has taken the console of VM "${name}"` };
      case "lost":
      case "closed":
        return { fate: kind, reason };
    }
  }

  /** What became of a guest whose console libvirt has ended: it runs here, stopped here, or left. */
  async #fate(uuid: string, name: string): Promise<ConsoleEnding> {
    const { inventory, monitor } = this.#o;
    const began = performance.now();
    do {
      const now = await this.#look(uuid);
      if (now === "off") return { fate: "stopped", reason: `VM "${name}" has stopped` };
      if (now === "here" && performance.now() >= began + STOP_MS) {
        return { fate: "taken", reason: `Another user has taken the console of VM "${name}"` };
      }
      if (now === "away") return { fate: "lost", reason: "libvirt is away" };
      const host = inventory.vm(uuid)?.host;
      if (now === "gone" && host !== undefined && host !== monitor.uuid) {
        const where = inventory.host(host)?.def.name ?? host;
        return { fate: "moved", reason: `VM "${name}" has moved to host "${where}"` };
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    } while (performance.now() < began + SEARCH_MS);
    return { fate: "stopped", reason: `VM "${name}" is no longer on this host` };
  }

  async #look(uuid: string): Promise<"here" | "off" | "gone" | "away"> {
    try {
      const { state, reason } = await this.#o.hypervisor.state(uuid);
      if (state !== DomainState.shutoff) return "here";
      return reason === SHUTOFF_MIGRATED ? "gone" : "off";
    } catch (error) {
      return error instanceof VirtxError && error.kind === "not_found" ? "gone" : "away";
    }
  }

  async #refuse(error: unknown, uuid: string, name: string): Promise<never> {
    const libvirt = error instanceof VirtxError ? error.libvirt : undefined;
    const what = `Cannot open the console of VM "${name}"`;
    if (libvirt?.code === ErrorCode.operationInvalid) {
      throw new VirtxError("conflict", `${what}: it is not running`, { cause: error, libvirt });
    }
    if (libvirt?.code === ErrorCode.operationFailed) {
      const why = `another user has it (${libvirt.message}); it can be taken by force`;
      throw new VirtxError("conflict", `${what}: ${why}`, { cause: error, libvirt });
    }
    if (libvirt?.code === ErrorCode.internalError && !hasConsole(await this.#o.hypervisor.liveXml(uuid))) {
      const why = "it has none; add a serial device of type pty to it (virsh edit), and start it anew";
      throw new VirtxError("conflict", `${what}: ${why}`, { cause: error, libvirt });
    }
    throw error;
  }

  #nameOf(uuid: string): string {
    return this.#o.inventory.vm(uuid)?.name ?? uuid;
  }
}
