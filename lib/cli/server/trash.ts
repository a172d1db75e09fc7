import type { Fields } from "./fields.ts";

/** What one change has deleted; see GET /trash. */
export interface TrashItem {
  readonly id: string;
  /** UUIDs, and the VM's name; empty: unknown. */
  readonly vm: string;
  readonly name: string;
  readonly host: string;
  /** UTC milliseconds; 0: unknown. */
  readonly deleted: number;
  readonly until: number;
  /** Whether the VM itself was deleted. */
  readonly definition: boolean;
  /** MiB. */
  readonly size: number;
  readonly files: readonly { readonly path: string; readonly state: string }[];
  readonly busy: boolean;
  readonly damage: string;
}

/** The trash, and how long the host that answers keeps what is deleted on it. */
export interface TrashList {
  /** 0: not at all. */
  readonly hours: number;
  readonly items: readonly TrashItem[];
}

/** What came back. */
export interface Restored {
  /** The UUID of the VM that is defined again; empty: none is. */
  readonly vm: string;
  readonly files: readonly string[];
  readonly warnings: readonly string[];
}

export function readTrashItem(item: Fields): TrashItem {
  return {
    id: item.text("id"),
    vm: item.text("vm"),
    name: item.text("name"),
    host: item.text("host"),
    deleted: item.number("deleted"),
    until: item.number("until"),
    definition: item.flag("definition"),
    size: item.number("size"),
    files: item.list("files").map((file) => ({ path: file.text("path"), state: file.text("state") })),
    busy: item.flag("busy"),
    damage: item.text("damage"),
  };
}

export function readRestored(answer: Fields): Restored {
  return { vm: answer.text("vm"), files: answer.texts("files"), warnings: answer.texts("warnings") };
}
