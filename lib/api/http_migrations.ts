import type { Cluster } from "../cluster/cluster.ts";
import { HostState } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { MigrationVerdict } from "../model/vm.ts";
import { type DomainLook, parseLook, parseVerdict, type TargetCheck } from "../vm/migration_exchange.ts";
import type { MigrationPeers } from "../vm/migration_peers.ts";
import { readError } from "./answer_error.ts";
import { peerUrl } from "./http_peers.ts";
import { readBytes } from "./read_bytes.ts";
import { JSON_TYPE } from "./respond.ts";
import type { Transport } from "./transport.ts";

/** Where hosts ask each other about migrations; see migration_operations.ts. */
export const CHECK_PATH = "/cluster/migration-check";
export const ARRIVAL_PATH = "/cluster/migrations/{uuid}";

/** Unless the caller's signal says so before. */
const TIMEOUT_MS = 30_000;
/** The longest answer that is taken, in bytes. */
const ANSWER_MAX_BYTES = 1024 * 1024;

/** Asks other hosts about migrations over HTTP. */
export class HttpMigrationPeers implements MigrationPeers {
  readonly #cluster: Pick<Cluster, "member" | "joined" | "catchUp">;
  readonly #transport: Transport;

  constructor(
    o: { readonly cluster: Pick<Cluster, "member" | "joined" | "catchUp">; readonly transport: Transport },
  ) {
    this.#cluster = o.cluster;
    this.#transport = o.transport;
  }

  get areKnown(): boolean {
    return this.#cluster.joined;
  }

  address(host: string): string | undefined {
    const member = this.#cluster.member(host);
    return member?.cstate === HostState.active ? member.peer.address : undefined;
  }

  isPrototype(host: string): boolean {
    return this.#cluster.member(host)?.peer.prototype ?? false;
  }

  async check(host: string, request: TargetCheck, signal: AbortSignal): Promise<MigrationVerdict> {
    return parseVerdict(await this.#ask(host, "POST", CHECK_PATH, signal, request));
  }

  async look(host: string, vm: string, signal: AbortSignal): Promise<DomainLook> {
    return parseLook(await this.#ask(host, "GET", arrivalPath(vm), signal));
  }

  async lookBeyondSerf(host: string, vm: string, signal: AbortSignal): Promise<DomainLook> {
    return parseLook(await this.#ask(host, "GET", arrivalPath(vm), signal, undefined, { active: false }));
  }

  async seeArrival(host: string, vm: string, signal: AbortSignal): Promise<void> {
    if (this.isPrototype(host)) {
      await this.#ask(host, "PUT", `/vms/${vm}/register`, signal, { host }); // protocol.md §1, VmRegister
      return;
    }
    await this.look(host, vm, signal);
    await this.#cluster.catchUp(host);
  }

  async resume(host: string, vm: string, signal: AbortSignal): Promise<void> {
    await this.#ask(host, "POST", arrivalPath(vm), signal);
  }

  async discard(host: string, vm: string, signal: AbortSignal): Promise<void> {
    await this.#ask(host, "DELETE", arrivalPath(vm), signal);
  }

  /** The JSON of the answer; undefined if it has none. */
  async #ask(
    host: string,
    method: string,
    path: string,
    signal: AbortSignal,
    body?: unknown,
    { active } = { active: true },
  ): Promise<unknown> {
    const peer = this.#cluster.member(host)?.peer;
    const what = `Cannot ask host ${
      peer === undefined ? host : `"${peer.name}" (${peer.address})`
    } for ${path}`;
    if (peer === undefined || (active && this.address(host) === undefined)) {
      throw new VirtxError("unreachable", `${what}: it is not active`);
    }
    const outgoing = {
      method,
      url: peerUrl(peer, path),
      headers: new Headers(body === undefined ? {} : { "content-type": JSON_TYPE }),
      body: body === undefined ? undefined : JSON.stringify(body),
      timeoutMs: TIMEOUT_MS,
      signal,
      what,
    };
    return await this.#transport.exchange(outgoing, async (response) => {
      if (!response.ok) throw await readError(response);
      const text = new TextDecoder().decode(
        await readBytes(response.body, ANSWER_MAX_BYTES, () => {
          throw new VirtxError("unreachable", `${what}: the answer is longer than ${ANSWER_MAX_BYTES} bytes`);
        }),
      );
      if (text === "") return undefined;
      try {
        return JSON.parse(text);
      } catch (cause) {
        throw new VirtxError("invalid", `${what}: the answer is not JSON`, { cause });
      }
    });
  }
}

function arrivalPath(vm: string): string {
  return ARRIVAL_PATH.replace("{uuid}", vm);
}
