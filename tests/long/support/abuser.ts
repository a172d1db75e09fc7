/**
 * A program that behaves badly towards hosts of a cluster, in all the ways at once that it knows, until its standard input
 * ends. It prints as JSON how often it did what. It is run in the network namespace of a lab host that runs no virtxd.
 *
 *     abuser.ts '{"hosts":[{"uuid":…,"address":…}],"vms":[…],"agent":"127.0.0.1:7373","seed":1}'
 */
import { CONSOLE_PROTOCOL, consolePath } from "../../../lib/api/console_protocol.ts";
import { encodeVmEvent } from "../../../lib/cluster/records.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { SerfAgent } from "../../../lib/serf/agent.ts";
import { seededRandom } from "../../support/virtual_time.ts";

/** What the abuser is told. */
export interface Abuse {
  readonly hosts: readonly { readonly uuid: string; readonly address: string }[];
  /** UUIDs of VMs that run. */
  readonly vms: readonly string[];
  /** The RPC address of the Serf agent that gossip is sent by. */
  readonly agent: string;
  readonly seed: number;
}

/** How often each thing was done. */
export type Tally = Readonly<Record<AbuseKind, number>>;
export type AbuseKind = "slowHeaders" | "slowBodies" | "halfRequests" | "idle" | "emptyFrames" | "gossip";

const PORT = 8080;
/** How many of each kind go on at a time. */
const SLOW_HEADERS = 40, SLOW_BODIES = 40, IDLE = 60, FRAMES = 3;
/** What slow clients send between two pauses, and how long these are. */
const TRICKLE_MS = 400;
/** So much of a body of 1 MB is sent fast, before the client falls asleep. */
const BODY_BYTES = 900_000;
/** Bad clients come back after that long when they were thrown out. */
const RETURN_MS = 50;
const GOSSIP_MS = 20;

const text = new TextEncoder();

class Abuser {
  readonly #o: Abuse;
  readonly #over: AbortSignal;
  readonly #random: () => number;
  readonly tally: Record<AbuseKind, number> = {
    slowHeaders: 0,
    slowBodies: 0,
    halfRequests: 0,
    idle: 0,
    emptyFrames: 0,
    gossip: 0,
  };

  constructor(o: Abuse, over: AbortSignal) {
    this.#o = o;
    this.#over = over;
    this.#random = seededRandom(o.seed);
  }

  /** Does everything at once, until it is over. */
  async run(): Promise<void> {
    const many = (count: number, task: () => Promise<void>) => Array.from({ length: count }, task);
    await Promise.all([
      ...many(SLOW_HEADERS, () => this.#again((connection) => this.#slowHeader(connection))),
      ...many(SLOW_BODIES, () => this.#again((connection) => this.#slowBody(connection))),
      ...many(IDLE, () => this.#again((connection) => this.#idle(connection))),
      ...many(2, () => this.#again((connection) => this.#halfRequest(connection))),
      ...many(FRAMES, () => this.#emptyFrames()),
      this.#gossip(),
    ]);
  }

  /** One connection after the other to some host, each until it is thrown out. */
  async #again(task: (connection: Deno.Conn) => Promise<void>): Promise<void> {
    while (!this.#over.aborted) {
      let connection: Deno.Conn | undefined;
      const close = () => closeQuietly(connection);
      this.#over.addEventListener("abort", close);
      try {
        connection = await Deno.connect({ hostname: this.#host().address, port: PORT, signal: this.#over });
        await task(connection);
      } catch {
        // Being thrown out is what has to happen.
      } finally {
        this.#over.removeEventListener("abort", close);
        close();
      }
      await this.#pause(RETURN_MS);
    }
  }

  async #slowHeader(connection: Deno.Conn): Promise<void> {
    this.tally.slowHeaders++;
    await connection.write(text.encode("GET /vms HTTP/1.1\r\nHost: x\r\n"));
    while (!this.#over.aborted) {
      await this.#pause(TRICKLE_MS);
      await connection.write(text.encode("X-Slow: 1\r\n"));
    }
  }

  async #slowBody(connection: Deno.Conn): Promise<void> {
    this.tally.slowBodies++;
    const head =
      "POST /vms HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n";
    await connection.write(text.encode(head));
    await writeAll(connection, new Uint8Array(BODY_BYTES).fill(0x20));
    while (!this.#over.aborted) {
      await this.#pause(TRICKLE_MS);
      await connection.write(text.encode(" "));
    }
  }

  async #idle(connection: Deno.Conn): Promise<void> {
    this.tally.idle++;
    await connection.read(new Uint8Array(1024));
  }

  async #halfRequest(connection: Deno.Conn): Promise<void> {
    this.tally.halfRequests++;
    const whole =
      `PUT /vms/${this.#vm()} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"vmdef":{"name":1}}`;
    await connection.write(text.encode(whole.slice(0, Math.floor(this.#random() * whole.length))));
    await this.#pause(this.#random() * TRICKLE_MS);
  }

  /** Empty messages to a console, as fast as they go. */
  async #emptyFrames(): Promise<void> {
    while (!this.#over.aborted) {
      const { promise: settled, resolve } = Promise.withResolvers<void>();
      const path = consolePath(this.#vm(), { force: true });
      const socket = new WebSocket(`ws://${this.#host().address}:${PORT}${path}`, CONSOLE_PROTOCOL);
      const close = () => socket.close();
      this.#over.addEventListener("abort", close);
      socket.onopen = socket.onclose = socket.onerror = () => resolve();
      await settled;
      while (socket.readyState === WebSocket.OPEN) {
        for (let n = 0; n < 1000 && socket.readyState === WebSocket.OPEN; n++) socket.send(new Uint8Array());
        this.tally.emptyFrames += 1000;
        await this.#pause(5);
      }
      this.#over.removeEventListener("abort", close);
      await this.#pause(RETURN_MS * 4);
    }
  }

  /** Records that are cut, random, or lies, about hosts that exist. */
  async #gossip(): Promise<void> {
    await using agent = await SerfAgent.open({ address: this.#o.agent, log: silentLogger });
    while (!this.#over.aborted) {
      const name = this.#pick(["HI", "VI", "VE", "XX"]);
      await agent.userEvent(name, this.#record()).then(() => this.tally.gossip++, () => {});
      await this.#pause(GOSSIP_MS);
    }
  }

  #record(): Uint8Array {
    const lie = encodeVmEvent(
      { uuid: crypto.randomUUID(), host: this.#host().uuid, runstate: Runstate.running, ts: Date.now() },
      {
        epoch: this.#pick([Number.MAX_SAFE_INTEGER, Date.now() * 2, 1]),
        seq: this.#pick([0, Number.MAX_SAFE_INTEGER]),
        digest: "0000000000000001",
      },
    ) ?? new Uint8Array();
    const kind = this.#random();
    if (kind < 0.4) return lie;
    if (kind < 0.7) return lie.subarray(0, Math.floor(this.#random() * lie.length));
    return Uint8Array.from({ length: Math.floor(this.#random() * 400) }, () => this.#random() * 256);
  }

  #host(): Abuse["hosts"][number] {
    return this.#pick(this.#o.hosts);
  }

  #vm(): string {
    return this.#pick(this.#o.vms);
  }

  #pick<T>(values: readonly T[]): T {
    const value = values[Math.floor(this.#random() * values.length)];
    if (value === undefined) throw new Error("There is nothing to pick from");
    return value;
  }

  /** Waits, or until it is over. */
  async #pause(ms: number): Promise<void> {
    if (this.#over.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const end = () => resolve();
    this.#over.addEventListener("abort", end);
    await promise;
    this.#over.removeEventListener("abort", end);
    clearTimeout(timer);
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

function closeQuietly(connection: Deno.Conn | undefined): void {
  try {
    connection?.close();
  } catch {
    // It is closed already.
  }
}

if (import.meta.main) {
  const over = new AbortController();
  const abuser = new Abuser(JSON.parse(Deno.args[0] ?? "") as Abuse, over.signal);
  const running = abuser.run();
  await Deno.stdin.read(new Uint8Array(1)); // at its end
  over.abort();
  await running;
  await Deno.stdout.write(text.encode(JSON.stringify(abuser.tally)));
  Deno.exit(0);
}
