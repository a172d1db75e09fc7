import { Interrupted } from "../interrupts.ts";
import type { OperationItem } from "../server/operations.ts";

/** What goes on without anybody who waits for it, and cannot be taken back. */
export interface Afterwards {
  /** In a few words: "asked to shut down". */
  readonly said: string;
  /** A sentence without a full stop: "web1 was asked to shut down, and its guest has not done so yet". */
  readonly still: string;
  /** The command that ends it, without the program's name: "vm stop web1 --force". */
  readonly ends: string;
}

/** Where something that is waited for is. */
export type Stage =
  /** The wait is all there is. */
  | { readonly kind: "waiting" }
  /** The server was asked for a change, and has not answered: whether it is carried out is not known. */
  | { readonly kind: "asked" }
  /** The cluster is at work on it. */
  | { readonly kind: "operation"; readonly id: string }
  /** The change is done, and something follows from it. */
  | { readonly kind: "afterwards"; readonly words: Afterwards | undefined };

/** Something that is waited for. */
export class Attended {
  readonly since = performance.now();
  stage: Stage = { kind: "waiting" };
  progress: OperationItem["progress"];
  /** The user has wanted it to be cancelled: it is as soon as it can be. */
  cancelled = false;
  /** Aborted if what follows from the change is not to be waited for any more. */
  readonly givenUp = new AbortController();

  /** @param title "Starting web1" */
  constructor(readonly title: string) {}
}

/** The user does not wait any more; what was asked for stays as it is, and may go on. */
export class Unattended extends Interrupted {
  constructor(readonly stage: Stage) {
    super();
  }
}
