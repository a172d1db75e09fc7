import { parseSummary } from "../domain_xml/summary.ts";
import { reachesOut } from "../domain_xml/trust.ts";
import { UnreadableXml } from "../domain_xml/unreadable_xml.ts";
import type { HostMonitor } from "../host/monitor.ts";
import { Firmware } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { Storage } from "../storage/storage.ts";

/** What {@link SharedDefinitions} asks. */
export interface SharedDefinitionsOptions {
  readonly monitor: Pick<HostMonitor, "context">;
  readonly storage: Pick<Storage, "allowsDevice">;
}

/** Definitions that come from shared storage, where others can write: taken as a whole, or refused. */
export class SharedDefinitions {
  readonly #o: SharedDefinitionsOptions;

  constructor(options: SharedDefinitionsOptions) {
    this.#o = options;
  }

  /**
   * @param from which file it is of
   * @param known what this host's own libvirt has of the VM, which is not judged; undefined: nothing
   * @throws VirtxError `conflict`, naming each element that guests are not given; or it defines another VM, or cannot be read
   */
  require(
    xml: string,
    { vm, from, known }: {
      readonly vm: string;
      readonly from: "registry" | "journal" | "trash";
      readonly known?: string | undefined;
    },
  ): void {
    const refuse = (why: string) =>
      new VirtxError("conflict", `Cannot define VM ${vm}: its file in the ${from} ${why}`);
    try {
      const { uuid } = parseSummary(xml);
      if (uuid !== vm) throw refuse(`defines ${uuid}`);
      const had = new Set(known === undefined ? [] : this.reachesOut(known));
      const found = this.reachesOut(xml).filter((line) => !had.has(line));
      if (found.length === 0) return;
      throw refuse(
        `has what guests are not given: ${found.join("; ")}. Whoever trusts it can use virsh define`,
      );
    } catch (error) {
      throw error instanceof UnreadableXml ? refuse(`cannot be read: ${error.message}`) : error;
    }
  }

  /**
   * What in a definition guests are not given, a line for each.
   * @throws UnreadableXml
   */
  reachesOut(xml: string): readonly string[] {
    const { monitor, storage } = this.#o;
    const emulators = Object.values(Firmware).flatMap((firmware) =>
      monitor.context(firmware).capabilities?.emulator ?? []
    );
    return reachesOut(xml, { emulators, allowsDevice: (path) => storage.allowsDevice(path) });
  }
}
