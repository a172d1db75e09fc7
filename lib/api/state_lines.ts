import { type OriginState, parseStates } from "../cluster/exchange.ts";
import { VirtxError } from "../model/error.ts";
import { HOST_VMS_MAX } from "../model/limits.ts";
import type { VmInfo } from "../model/vm.ts";

/**
 * The states of origins as lines of JSON (application/x-ndjson), so that neither side has to hold, make or check more than
 * a piece at a time. A state's VMs may be spread over several lines, which follow each other: all but the last of them have
 * `"more": true`.
 */

/** About how much a line holds, in characters: a few milliseconds' work. */
const LINE_LENGTH = 32 * 1024;
/** The longest line that is taken. One VM with all the custom fields that there may be is 70 KB. */
const LINE_LENGTH_MAX = 1024 * 1024;

/** The lines, each with its end; made one by one as they are asked for. */
export function* encodeStates(states: Iterable<OriginState>): Generator<string> {
  for (const state of states) {
    const { uuid, epoch, seq, digest, base, vms } = state;
    let first: Partial<OriginState> = { host: state.host, report: state.report, gone: state.gone };
    for (let from = 0; first.gone !== undefined || from < vms.length;) {
      const to = pieceEnd(vms, from);
      const more = to < vms.length;
      yield JSON.stringify({ uuid, epoch, seq, digest, base, ...first, vms: vms.slice(from, to), more }) +
        "\n";
      first = {};
      from = to;
    }
  }
}

function pieceEnd(vms: readonly VmInfo[], from: number): number {
  let length = 0;
  let to = from;
  for (; to < vms.length && length < LINE_LENGTH; to++) length += lengthOf(vms[to]);
  return to;
}

/** About how long its JSON is. */
function lengthOf(vm: VmInfo | undefined): number {
  return 200 + (vm?.custom.reduce((sum, { name, value }) => sum + name.length + value.length + 22, 0) ?? 0);
}

/** A state whose VMs are still coming. */
type GrowingState = Omit<OriginState, "vms"> & { readonly vms: VmInfo[] };

/** Puts the states together again, checking every piece: it is another host's word. */
export class StateReader {
  readonly #states: GrowingState[] = [];
  #rest = "";
  #more = false;

  /** @throws VirtxError invalid */
  take(text: string): void {
    const end = text.lastIndexOf("\n");
    const lines = end < 0 ? [] : (this.#rest + text.slice(0, end)).split("\n");
    this.#rest = end < 0 ? this.#rest + text : text.slice(end + 1);
    if (this.#rest.length > LINE_LENGTH_MAX) throw broken(`a line is longer than ${LINE_LENGTH_MAX}`);
    for (const line of lines) this.#takeLine(line);
  }

  /**
   * All states, once everything was taken.
   * @throws VirtxError invalid
   */
  finish(): readonly OriginState[] {
    if (this.#rest !== "" || this.#more) throw broken("they break off");
    return this.#states;
  }

  #takeLine(line: string): void {
    let value: { readonly more?: unknown } | null;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw broken("a line is not JSON", cause);
    }
    const [piece] = parseStates([value]);
    const last = this.#states.at(-1);
    if (piece === undefined) return;
    if (!this.#more || !last) this.#states.push({ ...piece, vms: [...piece.vms] });
    else if (last.uuid !== piece.uuid || last.epoch !== piece.epoch || last.seq !== piece.seq) {
      throw broken("a state's lines are not together");
    } else if (last.vms.length + piece.vms.length > HOST_VMS_MAX) {
      throw broken(`a host has more than ${HOST_VMS_MAX} VMs`);
    } else for (const vm of piece.vms) last.vms.push(vm);
    this.#more = value?.more === true;
  }
}

function broken(why: string, cause?: unknown): VirtxError {
  return new VirtxError("invalid", `Cannot take over the states: ${why}`, { cause });
}
