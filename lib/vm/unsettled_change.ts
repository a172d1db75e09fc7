import { VirtxError } from "../model/error.ts";

/** The error of a change that stopped half-way: it is neither done nor undone yet, and comes to its end later. */
export class UnsettledChange extends VirtxError {
  /**
   * Its end: what it brings, or why it was undone (VirtxError). Stays open if the process ends before; then the next one
   * settles the change.
   */
  readonly settled: Promise<unknown>;

  /** @param reason what it is told as */
  constructor(reason: VirtxError, settled: Promise<unknown>) {
    const { kind, message, cause, issues, libvirt, retryAfterS } = reason;
    super(kind, message, {
      cause,
      issues,
      ...(libvirt && { libvirt }),
      ...(retryAfterS !== undefined && { retryAfterS }),
    });
    settled.catch(() => {}); // it may be that nobody waits for it
    this.settled = settled;
  }
}
