import { z } from "zod";
import { VirtxError } from "../model/error.ts";
import { isUuid } from "../model/uuid.ts";
import { FileMark } from "./file_mark.ts";

/** Room for a definition with every character escaped, and for many files. */
export const TRASH_INFO_LIMIT_BYTES = 16 << 20;

/** The form that this version writes; what has another is shown and left alone. */
const FORMAT = 1;

/** A file that a change takes away. */
const TrashedFile = z.strictObject({
  /** Its name in the trash, unique in its entry. */
  n: z.int().min(0),
  /** Where it was, as the definition has it. */
  path: z.string(),
  /** Its length. */
  sizeBytes: z.int().min(0),
  /** Which file it is: no other is ever removed for it. */
  mark: FileMark,
  /** The directory below /vms/ds at which its file system is mounted, and in which its trash lies; empty: /vms/ds itself. */
  pool: z.string(),
}).readonly();
export type TrashedFile = z.output<typeof TrashedFile>;

const TrashInfo = z.strictObject({
  format: z.literal(FORMAT),
  vm: z.string().refine(isUuid),
  name: z.string(),
  /** The UUID of the host that deleted it. */
  host: z.string().refine(isUuid),
  /** UTC milliseconds, by the storage's clock. */
  deletedAt: z.int(),
  /** When it may be emptied, UTC milliseconds by the same clock. */
  until: z.int(),
  /** The definition, without secrets, if the VM itself was deleted. */
  xml: z.string().optional(),
  files: z.array(TrashedFile).readonly(),
}).readonly();
/** What the trash knows of one change, in the file info.json of its entry. */
export type TrashInfo = z.output<typeof TrashInfo>;

export function renderTrashInfo(info: Omit<TrashInfo, "format">): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify({ format: FORMAT, ...info }));
}

/** Reads what lies on shared storage, where anybody may have written it. VirtxError `invalid`, with the reason. */
export function parseTrashInfo(content: Uint8Array<ArrayBuffer>): TrashInfo {
  try {
    return TrashInfo.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content)));
  } catch (error) {
    const reason = error instanceof z.ZodError
      ? error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).slice(0, 3).join("; ")
      : "it is no JSON";
    throw new VirtxError("invalid", `its info.json cannot be read: ${reason}`, { cause: error });
  }
}
