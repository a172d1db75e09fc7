import { ipText } from "./address.ts";
import { Fields } from "./fields.ts";

const STATUSES = ["none", "alive", "leaving", "left", "failed"] as const;

/** What Serf says of a member: it left on purpose, or failed: it is away without having said so. */
export type MemberStatus = (typeof STATUSES)[number];

/** A member of the Serf cluster. All but the status is what its own agent says: untrusted. */
export interface Member {
  /** The agent's node name, unique in the cluster. */
  readonly name: string;
  /** IPv4 or IPv6, as text; "" if it has none. */
  readonly address: string;
  /** Serf's own port, not that of any service. */
  readonly port: number;
  readonly status: MemberStatus;
  readonly tags: ReadonlyMap<string, string>;
}

/** The body of `members`. @throws VirtxError `invalid` */
export function parseMembers(body: unknown): Member[] {
  return new Fields(body, "an answer to members").list("Members").map(parseMember);
}

/** @throws VirtxError `invalid` */
export function parseMember(value: unknown): Member {
  const fields = new Fields(value, "a member");
  const status = fields.text("Status");
  return {
    name: fields.text("Name"),
    address: ipText(fields.bytes("Addr")),
    port: fields.integer("Port"),
    status: STATUSES.find((known) => known === status) ?? "none",
    tags: fields.texts("Tags"),
  };
}
