import { SetDigest } from "./digest.ts";
import type { OriginState, Vector, Want } from "./exchange.ts";
import type { Knowledge } from "./knowledge.ts";
import type { LocalOrigin } from "./local_origin.ts";
import type { Stamp } from "./stamp.ts";

/** What this host can tell others: of itself, and what it knows of the other origins. */
export class Archive {
  readonly #origin: LocalOrigin;
  readonly #knowledge: Knowledge;

  constructor(origin: LocalOrigin, knowledge: Knowledge) {
    this.#origin = origin;
    this.#knowledge = knowledge;
  }

  /** The UUID of this host. */
  get uuid(): string {
    return this.#origin.uuid;
  }

  /** How far this host is itself. */
  get stamp(): Stamp {
    return this.#origin.stamp;
  }

  vector(): Vector {
    const { uuid, stamp, count } = this.#origin;
    const origins = [{ uuid, ...stamp, count }, ...this.#knowledge.entries()];
    return { uuid, digest: SetDigest.ofVector(origins).toString(), origins };
  }

  /** What is known of these origins, without those that are not known. */
  states(wants: readonly Want[]): readonly OriginState[] {
    return wants.flatMap((want) =>
      (want.uuid === this.#origin.uuid ? this.#origin.state(want) : this.#knowledge.state(want)) ?? []
    );
  }
}
