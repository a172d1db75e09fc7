import { VirtxError } from "../model/error.ts";
import { Fields } from "./fields.ts";

/** What an agent says about itself. */
export interface AgentStats {
  /** Its node name. */
  readonly name: string;
  /** User events that wait to be gossiped: when it passes some thousands, Serf drops the oldest. */
  readonly queuedEvents: number;
  /** All that it says, by section ("agent", "runtime", "serf", "tags") and name. */
  readonly sections: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** The body of `stats`. @throws VirtxError `invalid` */
export function parseStats(body: unknown): AgentStats {
  const what = "an answer to stats";
  if (!(body instanceof Map)) throw new VirtxError("invalid", `${what} that is no map`);
  const fields = new Fields(body, what);
  const sections = new Map([...body.keys()].map((key) => [String(key), fields.texts(key)]));
  const name = sections.get("agent")?.get("name");
  if (name === undefined) throw new VirtxError("invalid", `${what} without the agent's name`);
  return { name, queuedEvents: Number(sections.get("serf")?.get("event_queue") ?? 0) || 0, sections };
}
