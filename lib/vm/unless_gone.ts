import { VirtxError } from "../model/error.ts";

/** For the `catch` of what ends a domain: that libvirt has none any more is as good. @throws any other error, again */
export function unlessGone(error: unknown): void {
  if (!(error instanceof VirtxError) || error.kind !== "not_found") throw error;
}
