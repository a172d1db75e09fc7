import { VirtxError } from "../model/error.ts";

/** XML that others have written, and that cannot be read here; no defect of virtxd's. */
export class UnreadableXml extends VirtxError {
  constructor(message: string, cause?: unknown) {
    super("internal", message, { cause });
  }

  override get isDefect(): boolean {
    return false;
  }
}
