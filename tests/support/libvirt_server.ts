import { ErrorCode, TypedParameterType } from "../../lib/libvirt/constants.ts";
import { inBackground } from "../../lib/model/background.ts";
import { formatUuid } from "../../lib/model/uuid.ts";
import { ServedConsole, STREAM } from "./libvirt_served_console.ts";
import { TempDir } from "./temp_dir.ts";
import { XdrWriter } from "./xdr.ts";

/** The one domain of a {@link LibvirtServer}; it is shut off. */
export const SERVED_DOMAIN = { uuid: "5e7e9c3a-0000-4000-8000-00000000d0d0", name: "served" } as const;

/** What is printed of every domain, and its title. */
export const SERVED_XML = "<domain/>", SERVED_TITLE = "Served";

/** The UUID of another domain that a {@link LibvirtServer} knows, shut off like the first. */
export function otherDomain(number: number): string {
  return `5e7e9c3a-0000-4000-8000-${OTHERS}${number.toString(16).padStart(8, "0")}`;
}
const OTHERS = "0e0e";

/** Procedures of libvirt's remote protocol, as far as the server knows them. */
export const Procedure = {
  open: 1,
  getType: 3,
  getXmlDesc: 14,
  getInfo: 16,
  lookupByUuid: 24,
  resume: 28,
  suspend: 34,
  getControlInfo: 229,
  destroyFlags: 234,
  supportsFeature: 60,
  authList: 66,
  isActive: 150,
  getLibVersion: 157,
  abortJob: 164,
  create: 196,
  openConsole: 201,
  getState: 212,
  getMetadata: 265,
  getJobStats: 298,
  migrate: 305,
  registerEvent: 316,
  getAllDomainStats: 344,
  lifecycle: 318,
  reboot: 319,
  blockJob2: 339,
  migrationIteration: 359,
  jobCompleted: 363,
  metadataChange: 379,
} as const;

/** The remote protocol's program number and version; a message's types and states. */
const PROGRAM = 0x20008086, VERSION = 1, REPLY = 1, MESSAGE = 2, OK = 0, ERROR = 1;
/** Length word, program, version, procedure, type, serial, status; then the body. */
const HEADER_BYTES = 28;
/**
 * What the server says it can (virDrvFeature): MIGRATION_P2P, MIGRATION_PARAMS, and REMOTE_EVENT_CALLBACK, by which each
 * event is subscribed to by itself.
 */
const FEATURES: readonly number[] = [4, 13, 14];
/** VIR_FROM_QEMU, VIR_ERR_ERROR, VIR_DOMAIN_SHUTOFF */
const OCCUPIED = 2, FROM_QEMU = 10, LEVEL_ERROR = 2, SHUTOFF = 5;

/** Of the served domain, as virDomainGetInfo tells it. */
export const CPU_TIME_NS = 5_000_000_000;

interface Call {
  readonly procedure: number;
  readonly type: number;
  readonly serial: number;
  readonly status: number;
  readonly body: DataView;
}

/** A typed parameter: its name, virTypedParameterType and value. */
export type Figure = readonly [name: string, type: number, value: number | string];

/** An error of libvirt's: virErrorNumber and message. */
export interface Failure {
  readonly code: number;
  readonly message: string;
}

type Answer = XdrWriter | Failure;

/** Calls that get no answer for now: which of a procedure, and how they are answered after all. */
interface Held {
  readonly only: (body: DataView) => boolean;
  readonly answers: (() => void)[];
}

/** Whether a call is about a domain: its UUID is somewhere in the body. */
export function isAbout(uuid: string): (body: DataView) => boolean {
  const hex = uuid.replaceAll("-", "");
  return (body) => new Uint8Array(body.buffer, body.byteOffset, body.byteLength).toHex().includes(hex);
}

/**
 * A libvirt daemon as seen through its socket, which can be told to fall silent, to die and to come back. It speaks
 * libvirt's own RPC protocol, so that the client library at the other end is the real one.
 */
export class LibvirtServer implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #sockets = new Set<Deno.UnixConn>();
  readonly #held = new Map<number, Held>();
  #listener: Deno.UnixListener | undefined;
  #work: Promise<unknown>[] = [];
  readonly #calls = new Map<number, number>();
  /** What virConnectGetAllDomainStats tells of the domain. */
  figures: readonly Figure[] = [];
  /** As virConnectGetLibVersion tells it. */
  version = 11_000_000;
  /** Of all domains: virDomainState and its reason. */
  state: readonly [state: number, reason: number] = [SHUTOFF, 0];
  /** For how long QEMU has not answered, as virDomainGetControlInfo tells it. */
  silenceMs = 0;
  /** The domain's job, as virDomainGetJobStats tells it. */
  job: { readonly type: number; readonly figures: readonly Figure[] } = { type: 0, figures: [] };
  /** Procedures that fail, and how. */
  readonly failures = new Map<number, Failure>();
  /** How many connections have been opened. */
  opened = 0;
  /** Those that have been opened; the last one is the one in use. */
  readonly consoles: ServedConsole[] = [];
  /** virDomainConsoleFlags of each opening, and how many consoles had not been given back by then. */
  readonly openings: { readonly flags: number; readonly before: number }[] = [];
  /** Set: nothing is read from connections with a console until it resolves. */
  deafness: Promise<void> | undefined;

  private constructor(dir: TempDir) {
    this.#dir = dir;
  }

  static async start(): Promise<LibvirtServer> {
    const server = new LibvirtServer(await TempDir.create());
    server.listen();
    return server;
  }

  get uri(): string {
    return `qemu+unix:///system?socket=${this.#dir.at("sock")}`;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Accepts connections; again, after {@link die}. */
  listen(): void {
    const listener = Deno.listen({ transport: "unix", path: this.#dir.at("sock") });
    this.#listener = listener;
    this.#work.push(this.#accept(listener));
  }

  /** Ends all connections at once, and takes no new ones. */
  async die(): Promise<void> {
    this.#listener?.close();
    this.#listener = undefined;
    for (const socket of this.#sockets) socket.close();
    this.#sockets.clear();
    await Promise.all(this.#work.splice(0));
    await Deno.remove(this.#dir.at("sock")).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.die();
    await this.#dir[Symbol.asyncDispose]();
  }

  /** How often a procedure has been called. */
  calls(procedure: number): number {
    return this.#calls.get(procedure) ?? 0;
  }

  /** From now on calls of this procedure, or those of them that are meant, get no answer. */
  hold(procedure: number, only: (body: DataView) => boolean = () => true): void {
    this.#held.set(procedure, { only, answers: [] });
  }

  /** Answers them after all, and those to come. */
  release(procedure: number): void {
    const held = this.#held.get(procedure);
    this.#held.delete(procedure);
    for (const answer of held?.answers ?? []) answer();
  }

  /** Tells all subscribers an event of the domain: the procedure that carries it, and what follows the domain in it. */
  async emit(procedure: number, eventId: number, details: XdrWriter): Promise<void> {
    const body = writeDomain(new XdrWriter().int(eventId)).opaque(details.bytes);
    for (const socket of this.#sockets) await send(socket, procedure, MESSAGE, 0, OK, body);
  }

  #answer(call: Call): Answer {
    switch (call.procedure) {
      case Procedure.getAllDomainStats:
        return writeFigures(writeDomain(new XdrWriter().int(1)), this.figures);
      case Procedure.getControlInfo:
        return new XdrWriter().int(this.silenceMs === 0 ? 0 : OCCUPIED).int(0).hyper(this.silenceMs);
      case Procedure.getLibVersion:
        return new XdrWriter().hyper(this.version);
      case Procedure.getState:
        return new XdrWriter().int(this.state[0]).int(this.state[1]);
      case Procedure.getJobStats:
        return writeFigures(new XdrWriter().int(this.job.type), this.job.figures);
      default:
        return answerTo(call);
    }
  }

  async #accept(listener: Deno.UnixListener): Promise<void> {
    const sessions: Promise<void>[] = [];
    try {
      for await (const socket of listener) sessions.push(this.#serve(socket));
    } finally {
      await Promise.all(sessions);
    }
  }

  async #serve(socket: Deno.UnixConn): Promise<void> {
    this.#sockets.add(socket);
    this.opened++;
    try {
      let terminal: ServedConsole | undefined;
      for (let call = await receive(socket); call !== undefined; call = await receive(socket)) {
        const { procedure, serial } = call;
        if (call.type === STREAM) {
          await this.deafness;
          await terminal?.take(call.status, call.body);
          continue;
        }
        if (procedure === Procedure.openConsole) {
          const before = this.consoles.filter(({ aborted }) => !aborted).length;
          this.openings.push({ flags: call.body.getUint32(call.body.byteLength - 4), before });
          terminal = new ServedConsole((bytes) => writeAll(socket, bytes), serial);
          this.consoles.push(terminal);
        }
        this.#calls.set(procedure, this.calls(procedure) + 1);
        const answering = call;
        const reply = () => {
          if (!this.#sockets.has(socket)) return;
          const answer = this.failures.get(procedure) ?? this.#answer(answering);
          if (answer instanceof XdrWriter) inBackground(send(socket, procedure, REPLY, serial, OK, answer));
          else inBackground(send(socket, procedure, REPLY, serial, ERROR, writeError(answer)));
        };
        const held = this.#held.get(procedure);
        if (held?.only(call.body)) held.answers.push(reply);
        else reply();
      }
    } finally {
      if (this.#sockets.delete(socket)) socket.close();
    }
  }
}

async function writeAll(socket: Deno.UnixConn, bytes: Uint8Array): Promise<void> {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await socket.write(rest));
  } catch {
    // the client has hung up
  }
}

function answerTo({ procedure, body }: Call): Answer {
  const answer = new XdrWriter();
  switch (procedure) {
    case Procedure.authList: // one type: none
      return answer.int(1).int(0);
    case Procedure.supportsFeature:
      return answer.int(FEATURES.includes(body.getInt32(0)) ? 1 : 0);
    case Procedure.getType:
      return answer.string("QEMU");
    case Procedure.registerEvent: // the callback's number is the event's
      return answer.int(body.getInt32(0));
    case Procedure.lookupByUuid: {
      const uuid = formatUuid(new Uint8Array(body.buffer, body.byteOffset, 16));
      if (uuid === SERVED_DOMAIN.uuid || uuid.includes(OTHERS)) return writeDomain(answer, uuid);
      return { code: ErrorCode.noDomain, message: `no domain with matching uuid '${uuid}'` };
    }
    case Procedure.getInfo: // state, memory at most and now, processors, nanoseconds
      return answer.int(1).hyper(65_536).hyper(65_536).int(1).hyper(CPU_TIME_NS);
    case Procedure.create:
      return writeDomain(answer);
    case Procedure.isActive:
    case Procedure.migrate: // no cookie
      return answer.int(0);
    case Procedure.getXmlDesc:
      return answer.string(SERVED_XML);
    case Procedure.getMetadata:
      return answer.string(SERVED_TITLE);
    default: // the others that the tests lead to answer with nothing
      return answer;
  }
}

function writeDomain(to: XdrWriter, uuid: string = SERVED_DOMAIN.uuid): XdrWriter {
  return to.string(SERVED_DOMAIN.name).opaque(Uint8Array.fromHex(uuid.replaceAll("-", ""))).int(-1);
}

function writeFigures(to: XdrWriter, figures: readonly Figure[]): XdrWriter {
  to.int(figures.length);
  for (const [name, type, value] of figures) writeFigure(to.string(name).int(type), type, value);
  return to;
}

function writeFigure(to: XdrWriter, type: number, value: number | string): void {
  if (typeof value === "string") to.string(value);
  else if (type === TypedParameterType.llong || type === TypedParameterType.ullong) to.hyper(value);
  else if (type === TypedParameterType.double) to.double(value);
  else to.int(value);
}

/** struct remote_error: code, domain, message, level, and seven fields that stay empty. */
function writeError(error: Failure): XdrWriter {
  const body = new XdrWriter().int(error.code).int(FROM_QEMU).optionalString(error.message).int(LEVEL_ERROR);
  for (let field = 0; field < 7; field++) body.int(0);
  return body;
}

async function send(
  socket: Deno.UnixConn,
  procedure: number,
  type: number,
  serial: number,
  status: number,
  body: XdrWriter,
): Promise<void> {
  const message = new XdrWriter().int(HEADER_BYTES + body.bytes.length).int(PROGRAM).int(VERSION)
    .int(procedure).int(type).int(serial).int(status).opaque(body.bytes);
  try {
    await socket.write(message.bytes); // short enough for the socket's buffer
  } catch {
    // the client has hung up
  }
}

/** The next call; undefined when the client has hung up. */
async function receive(socket: Deno.UnixConn): Promise<Call | undefined> {
  const header = await readExactly(socket, HEADER_BYTES);
  if (header === undefined) return undefined;
  const body = await readExactly(socket, header.getUint32(0) - HEADER_BYTES);
  return body && {
    procedure: header.getInt32(12),
    type: header.getInt32(16),
    serial: header.getInt32(20),
    status: header.getInt32(24),
    body,
  };
}

async function readExactly(socket: Deno.UnixConn, size: number): Promise<DataView | undefined> {
  const bytes = new Uint8Array(size);
  for (let filled = 0; filled < size;) {
    const count = await socket.read(bytes.subarray(filled)).catch(() => null);
    if (count === null) return undefined;
    filled += count;
  }
  return new DataView(bytes.buffer);
}
