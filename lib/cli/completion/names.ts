import type { Kind } from "../command.ts";
import { cachePath } from "../server/config_path.ts";
import { instant } from "../output/human.ts";
import { hostStateWord, runstateWord } from "../views/words.ts";
import { hostNames } from "../server/host_names.ts";
import { openCluster } from "../server/open.ts";
import type { Candidate } from "./candidates.ts";

/** How long names are good; who presses the key again asks nobody. */
const FRESH_MS = 5_000;
/** How long the cluster may take to answer: completion must not keep anybody waiting. */
const ANSWER_MS = 150;
/** Names of a larger cluster than this are not completed. */
const MOST = 20_000;

export interface NameOptions {
  /** --server and --profile, as far as they have been written. */
  readonly servers: string | undefined;
  readonly profile: string | undefined;
  readonly env: (name: string) => string | undefined;
  readonly version: string;
  readonly now: number;
}

/** What is kept of the last question. */
interface Kept {
  readonly at: number;
  /** Of which servers. */
  readonly of: string;
  readonly names: readonly Candidate[];
}

/** The names of one kind that the cluster knows. From memory if it was asked just now; none while it is away. */
export async function namesOf(kind: Kind, o: NameOptions): Promise<readonly Candidate[]> {
  if (kind === "file" || kind === "word") return [];
  const directory = cachePath(o.env);
  if (directory === undefined) return await ask(kind, o);
  const path = `${directory}/names-${kind}.json`;
  const of = JSON.stringify([o.servers, o.profile, o.env("VIRTX_API_SERVER"), o.env("VIRTX_PROFILE")]);
  const kept = await readKept(path);
  const age = o.now - (kept?.at ?? 0);
  if (kept?.of === of && age >= 0 && age < FRESH_MS) return kept.names;
  const names = await ask(kind, o);
  // One that is away is not asked again at each key: an empty answer is kept as well.
  await keep(directory, path, { at: o.now, of, names });
  return names;
}

async function ask(kind: Kind, o: NameOptions): Promise<readonly Candidate[]> {
  try {
    const { cluster, server } = await openCluster({
      ...o,
      signal: AbortSignal.timeout(ANSWER_MS),
      onCaution: () => {},
    });
    using _ = server;
    if (kind === "host") {
      return (await cluster.hosts()).slice(0, MOST)
        .map(({ name, cstate }) => ({ word: name, about: hostStateWord(cstate) }));
    }
    if (kind === "operation") {
      return (await cluster.operations()).items.map(({ id, op, state }) => ({
        word: id,
        about: `${op}, ${state}`,
      }));
    }
    if (kind === "trash") {
      return (await cluster.trash()).items.map(({ id, name, deleted }) => ({
        word: id,
        about: `${name}, deleted ${instant(deleted)}`,
      }));
    }
    const [vms, hosts] = await Promise.all([cluster.vms(), cluster.hosts()]);
    const hostName = hostNames(hosts);
    return vms.slice(0, MOST)
      .map(({ name, runstate, host }) => ({
        word: name,
        about: `${runstateWord(runstate)} on ${hostName(host)}`,
        path: `${hostName(host)}/${name}`,
      }));
  } catch {
    return []; // Away, or not what it should be: a key that was pressed is no occasion to say so.
  }
}

async function readKept(path: string): Promise<Kept | undefined> {
  try {
    const kept: unknown = JSON.parse(await Deno.readTextFile(path));
    return isKept(kept) ? kept : undefined;
  } catch {
    return undefined;
  }
}

function isKept(value: unknown): value is Kept {
  if (typeof value !== "object" || value === null) return false;
  return "at" in value && typeof value.at === "number" && "of" in value && "names" in value &&
    Array.isArray(value.names) && value.names.every((one) => typeof one?.word === "string");
}

async function keep(directory: string, path: string, kept: Kept): Promise<void> {
  try {
    const { UserFiles } = await import("../../posix/user_files.ts");
    using files = UserFiles.open();
    files.makeDirectory(directory);
    files.replace(path, JSON.stringify(kept));
  } catch {
    // A home that cannot be written costs a question at each key, and nothing else.
  }
}
