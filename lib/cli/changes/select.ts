import { VirtxError } from "../../model/error.ts";
import { didYouMean } from "../../model/suggest.ts";
import { RUNSTATE_SYNONYMS } from "../commands/common.ts";
import type { Context } from "../context.ts";
import type { Input } from "../input.ts";
import type { Cluster, Query } from "../server/cluster.ts";
import { type Directory, directoryOf } from "../server/find.ts";
import type { VmItem } from "../server/vms.ts";
import { runstateQuery } from "../views/words.ts";

/** The filters of vm list that a selector may have; custom.<name> beside them. */
const KEYS = ["name", "host", "state", "laststate", "vlanid"] as const;

/** The keys for states, and what the API calls them, which is understood, too. */
const STATE_KEYS: ReadonlyMap<string, string> = new Map([
  ["state", "runstate"],
  ["laststate", "lastrunstate"],
  ["runstate", "runstate"],
  ["lastrunstate", "lastrunstate"],
]);

/** What a command over VMs is about. */
export interface Selection {
  readonly cluster: Cluster;
  readonly directory: Directory;
  readonly vms: readonly VmItem[];
}

/**
 * The VMs that the arguments name or --selector selects; each once. Says so if a selector selects none.
 * @throws VirtxError invalid, if there is neither, or both; not_found; conflict (ambiguous)
 */
export async function selectVms(context: Context, input: Input): Promise<Selection> {
  const words = input.words("vm");
  const selector = input.string("selector");
  if (words.length > 0 && selector !== undefined) {
    throw new VirtxError("invalid", "Name VMs or give --selector, not both");
  }
  if (words.length === 0 && selector === undefined) {
    throw new VirtxError("invalid", "Name the VMs, or select them by --selector");
  }
  const cluster = await context.cluster();
  const directory = await directoryOf(cluster);
  if (selector === undefined) {
    const vms = new Map<string, VmItem>();
    for (const word of words) {
      const vm = await directory.vm(word);
      vms.set(vm.uuid, vm);
    }
    return { cluster, directory, vms: [...vms.values()] };
  }
  const vms = await cluster.vms(parseSelector(selector, directory));
  if (vms.length === 0 && !context.options.quiet) context.err.line(`No VM passes --selector ${selector}.`);
  return { cluster, directory, vms };
}

/** Makes a query of "state=running,name=web,custom.owner=me". */
function parseSelector(selector: string, directory: Directory): Query {
  const query: Record<string, string> = {};
  for (const part of selector.split(",")) {
    const equals = part.indexOf("=");
    const key = part.slice(0, equals).trim();
    const value = part.slice(equals + 1).trim();
    const stateKey = STATE_KEYS.get(key);
    if (equals < 1 || value === "") {
      throw new VirtxError("invalid", `--selector must be key=value,…, and ${JSON.stringify(part)} is not`);
    }
    if (key.startsWith("custom.")) {
      query["custom.name"] = key.slice("custom.".length);
      query["custom.value"] = value;
    } else if (key === "host") query.host = directory.host(value).uuid;
    else if (stateKey !== undefined) {
      query[stateKey] = runstateQuery(RUNSTATE_SYNONYMS.get(value) ?? value) ?? "";
    } else if (KEYS.some((known) => known === key)) query[key] = value;
    else {
      throw new VirtxError(
        "invalid",
        `--selector has no key ${JSON.stringify(key)}${didYouMean(key, KEYS)}; there are ${
          KEYS.join(", ")
        }, custom.<name>`,
      );
    }
  }
  return query;
}
