import { invalidRequest } from "./body.ts";

/**
 * The bodies of list requests. The prototype's client sends its filter in the body of a GET, which Deno.serve does not
 * show to us. Its empty filter means the whole list and is let through; any other is refused, rather than answered
 * unfiltered (design.md). All that can be told apart is the length.
 */

const CPUDEF = { model: "", nodes: 0, sockets: 0, cores: 0, threads: 0 };

/** The prototype's filters with every field unset; Go's encoder writes all of them (interop.md §1). */
export const EMPTY_VM_FILTER = {
  filter: { name: "", host: "", runstate: 0, vlanid: 0, custom: { name: "", value: "" }, ts: 0 },
};
export const EMPTY_HOST_FILTER = {
  filter: {
    name: "",
    cpuarch: { arch: "", vendor: "" },
    cpudef: CPUDEF,
    cstate: 0,
    memoryavailable: 0,
    hpavailable: 0,
    osid: "",
    osv: "",
    ts: 0,
  },
};

/** Refuses list requests whose body may be a filter. */
export class FilterBody {
  readonly #lengths: ReadonlySet<string>;
  readonly #advice: string;

  /**
   * @param empty the filter whose length is let through
   * @param parameters the query parameters to use instead
   */
  constructor(empty: unknown, parameters: readonly string[]) {
    // Go's encoder ends what it writes with a newline; other clients do not.
    const lengths = [empty, null].map((value) => JSON.stringify(value).length).flatMap((n) => [n, n + 1]);
    this.#lengths = new Set([0, ...lengths].map(String));
    this.#advice = `cannot be read with GET; filter by query parameters instead: ${parameters.join(", ")}`;
  }

  /** @throws VirtxError invalid */
  check(headers: Headers): void {
    const length = headers.get("content-length");
    if (length === null && headers.get("transfer-encoding") === null) return;
    if (length !== null && this.#lengths.has(length)) return;
    throw invalidRequest([{ field: "", message: this.#advice }]);
  }
}
