import assert from "node:assert/strict";
import type { OriginState, Want } from "../../../lib/cluster/exchange.ts";
import type { Peer, PeerPort } from "../../../lib/cluster/ports.ts";
import { Pulls } from "../../../lib/cluster/pulls.ts";
import { Questions } from "../../../lib/cluster/questions.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { seededRandom, VirtualTime } from "../../support/virtual_time.ts";
import { numberedUuid } from "../../support/vm_info.ts";

interface Question {
  readonly peer: string;
  readonly origin: string;
  readonly signal: AbortSignal;
  answer(): void;
  fail(): void;
}

/** Pulls whose questions the test answers. */
class Fixture implements Disposable {
  readonly time = new VirtualTime();
  readonly questions: Question[] = [];
  readonly missing = new Set<string>();
  readonly peers: Peer[] = [];
  readonly pulls: Pulls;
  readonly #held = new DisposableStack();

  constructor(peers: number) {
    for (let number = 0; number < peers; number++) {
      const uuid = numberedUuid(number);
      this.peers.push({ uuid, name: `virt${number}`, address: "", port: 8080, prototype: false });
    }
    const port: PeerPort = {
      vector: () => Promise.reject(new Error("nobody asks for it")),
      states: (peer, [want], signal) => this.#ask(peer, want, signal),
      probe: () => Promise.reject(new Error("nobody asks for it")),
    };
    const lack = (uuid: string) => this.missing.has(uuid) ? { uuid, since: undefined } : undefined;
    this.pulls = this.#held.use(
      new Pulls({
        questions: this.#held.use(new Questions({ port, timers: this.time })),
        knowledge: { lack, restMs: () => 0 },
        peers: () => this.peers,
        adopt: (states) => states.forEach(({ uuid }) => this.missing.delete(uuid)),
        timers: this.time,
        random: seededRandom(1),
        log: silentLogger,
      }),
    );
  }

  lose(number: number): void {
    this.missing.add(numberedUuid(number));
    this.pulls.pull(numberedUuid(number));
  }

  [Symbol.dispose](): void {
    this.#held.dispose();
  }

  #ask(peer: Peer, want: Want | undefined, signal: AbortSignal): Promise<readonly OriginState[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly OriginState[]>();
    const origin = want?.uuid ?? "";
    const stop = () => {
      reject(new VirtxError("unreachable", "no answer"));
      this.time.settle();
    };
    signal.addEventListener("abort", stop);
    this.questions.push({
      peer: peer.uuid,
      origin,
      signal,
      answer: () =>
        resolve([{
          uuid: origin,
          epoch: 1,
          seq: 1,
          digest: "",
          host: undefined,
          base: undefined,
          vms: [],
          gone: [],
        }]),
      fail: stop,
    });
    return promise;
  }
}

Deno.test("an origin is asked itself, once at a time, however often something is missing", async () => {
  using fixture = new Fixture(5);
  for (let time = 0; time < 10; time++) fixture.lose(2);
  await fixture.time.pass(1000);
  fixture.lose(2);
  await fixture.time.pass(1000);
  assert.deepEqual(fixture.questions.map(({ peer, origin }) => [peer, origin]), [
    [numberedUuid(2), numberedUuid(2)],
  ]);
  fixture.questions[0]?.answer();
  await fixture.time.pass(60_000);
  assert.equal(fixture.questions.length, 1);
  fixture.lose(2);
  await fixture.time.pass(1000);
  assert.equal(fixture.questions.length, 2);
});

Deno.test("four are asked at a time, the others wait for them", async () => {
  using fixture = new Fixture(10);
  for (let number = 0; number < 10; number++) fixture.lose(number);
  await fixture.time.pass(2000);
  for (let answered = 0; answered < 10; answered++) {
    assert.equal(fixture.questions.length, Math.min(10, answered + 4));
    fixture.questions[answered]?.answer();
    await fixture.time.pass(1);
  }
  assert.equal(fixture.missing.size, 0);
});

Deno.test("hosts that miss the same do not all ask at the same time", async () => {
  using fixture = new Fixture(200);
  for (let number = 0; number < 4; number++) fixture.lose(number);
  await fixture.time.pass(50);
  assert.ok(fixture.questions.length < 4);
  await fixture.time.pass(1000);
  assert.equal(fixture.questions.length, 4);
});

Deno.test("who does not answer is not waited for long; then another is asked, ever later, and then nobody", async () => {
  using fixture = new Fixture(5);
  fixture.lose(1);
  await fixture.time.pass(1000);
  assert.equal(fixture.questions[0]?.peer, numberedUuid(1));
  await fixture.time.pass(12_000);
  assert.ok(fixture.questions[0]?.signal.aborted);
  assert.notEqual(fixture.questions[1]?.peer, numberedUuid(1));
  fixture.questions[1]?.fail();
  await fixture.time.pass(3000);
  assert.equal(fixture.questions[2]?.peer, numberedUuid(1));
  await fixture.time.pass(600_000);
  assert.equal(fixture.questions.length, 5);
  assert.ok(fixture.missing.has(numberedUuid(1)), "the comparing of notes will see to it");
});

Deno.test("what came by another way is not asked for, nor is anybody when nobody is there", async () => {
  using fixture = new Fixture(3);
  fixture.lose(1);
  fixture.missing.clear();
  await fixture.time.pass(10_000);
  fixture.peers.length = 0;
  fixture.lose(1);
  await fixture.time.pass(600_000);
  assert.equal(fixture.questions.length, 0);
});

Deno.test("when disposed, questions end and nobody is asked any more", async () => {
  const fixture = new Fixture(9);
  for (let number = 0; number < 9; number++) fixture.lose(number);
  await fixture.time.pass(1000);
  fixture[Symbol.dispose]();
  assert.ok(fixture.questions.every(({ signal }) => signal.aborted));
  await fixture.time.pass(60_000);
  assert.equal(fixture.questions.length, 4);
});
