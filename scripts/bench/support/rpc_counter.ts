import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { awaitedLater } from "../../../lib/model/background.ts";
import { print } from "../../progress.ts";

/**
 * A program that stands between libvirt clients and libvirtd, passes everything on, and counts the calls: what the
 * clients really ask, whatever they believe. A process of its own, so that it does not disturb what is measured.
 *
 *     deno run -A rpc_counter.ts LISTEN CONNECT
 *
 * with paths of sockets; each line on its standard input is answered with the count.
 *
 * A packet of libvirt's RPC protocol begins with its length (itself included), program, version, procedure, type,
 * serial and status, each a 32-bit big-endian word (libvirt's internals/rpc).
 */

/** Up to and including the type. */
const HEADER_SIZE = 20;
const PROGRAM_OFFSET = 4;
const TYPE_OFFSET = 16;
/** REMOTE_PROGRAM; keepalive has another. */
const REMOTE_PROGRAM = 0x20008086;
/** VIR_NET_CALL. */
const CALL = 0;

/** Counts the calls in a stream of packets that is cut anywhere. */
export class CallCounter {
  calls = 0;
  readonly #header = new Uint8Array(HEADER_SIZE);
  #headerLength = 0;
  /** Bytes of the packet that are still to come. */
  #bodyLength = 0;

  feed(bytes: Uint8Array): void {
    for (let data = bytes; data.length > 0;) {
      const skipped = Math.min(this.#bodyLength, data.length);
      this.#bodyLength -= skipped;
      const part = data.subarray(skipped, skipped + HEADER_SIZE - this.#headerLength);
      this.#header.set(part, this.#headerLength);
      this.#headerLength += part.length;
      data = data.subarray(skipped + part.length);
      if (this.#headerLength === HEADER_SIZE) this.#begin();
    }
  }

  #begin(): void {
    const view = new DataView(this.#header.buffer);
    if (view.getUint32(PROGRAM_OFFSET) === REMOTE_PROGRAM && view.getUint32(TYPE_OFFSET) === CALL) {
      this.calls++;
    }
    this.#bodyLength = view.getUint32(0) - HEADER_SIZE;
    this.#headerLength = 0;
  }
}

/** The program, run and asked from the benchmark. */
export class RpcCounter implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers: AsyncIterator<string>;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#input = process.stdin.getWriter();
    this.#answers = createInterface({ input: Readable.fromWeb(process.stdout) })[Symbol.asyncIterator]();
  }

  /** Starts it; it listens when this returns. */
  static async start(listen: string, connect: string): Promise<RpcCounter> {
    const args = ["run", "-A", import.meta.url, listen, connect];
    const command = new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped" });
    const counter = new RpcCounter(command.spawn());
    await counter.count();
    return counter;
  }

  /** How many calls went to libvirtd since it was started. */
  async count(): Promise<number> {
    await this.#input.write(new TextEncoder().encode("\n"));
    return Number((await this.#answers.next()).value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
    await this.#process.status;
  }
}

function pass(client: Deno.Conn, server: Deno.Conn, counter: CallCounter): void {
  const counting = new TransformStream<Uint8Array, Uint8Array>({
    transform(bytes, output) {
      counter.feed(bytes);
      output.enqueue(bytes);
    },
  });
  const ended = () => {}; // One side has closed, which the streams tell the other.
  client.readable.pipeThrough(counting).pipeTo(server.writable).catch(ended);
  server.readable.pipeTo(client.writable).catch(ended);
}

async function main(listen: string, connect: string): Promise<void> {
  const counters: CallCounter[] = [];
  const listener = Deno.listen({ transport: "unix", path: listen });
  const accepting = awaitedLater((async () => {
    for await (const client of listener) {
      const counter = new CallCounter();
      counters.push(counter);
      pass(client, await Deno.connect({ transport: "unix", path: connect }), counter);
    }
  })());
  for await (const _line of createInterface({ input: Readable.fromWeb(Deno.stdin.readable) })) {
    print(`${counters.reduce((sum, counter) => sum + counter.calls, 0)}\n`);
  }
  listener.close();
  await accepting;
  Deno.exit(); // Whatever is still connected goes.
}

if (import.meta.main) {
  const [listen = "", connect = ""] = Deno.args;
  await main(listen, connect);
}
