import { inBackground } from "../model/background.ts";
import { PosixError } from "./errno.ts";
import type { Files } from "./files.ts";
import { type FileReply, type FileRequest, LISTENING, toFailure, type WriteGuard } from "./files_port.ts";
import { Libc } from "./libc.ts";
import { LocalFiles } from "./local_files.ts";

/** The Worker's side of the port: its global scope. */
export interface WorkerPort {
  onmessage: ((event: MessageEvent<FileRequest>) => void) | null;
  postMessage(message: FileReply | typeof LISTENING): void;
}

/** When nothing has been asked for so long, the garbage of so many calls is collected. */
const IDLE_MS = 1_000;
const GARBAGE_CALLS = 100;

/** Serves file operations to the isolate that has started this Worker, until that ends it; see RemoteFiles. */
export function serveFiles(port: WorkerPort): void {
  const files = new LocalFiles(Libc.open());
  let idle: ReturnType<typeof setTimeout> | undefined;
  let calls = 0;
  port.onmessage = ({ data }) => {
    inBackground(reply(files, data).then((answer) => port.postMessage(answer)));
    clearTimeout(idle);
    if (++calls < GARBAGE_CALLS) return;
    idle = setTimeout(() => {
      calls = 0;
      collectGarbage();
    }, IDLE_MS);
  };
  port.postMessage(LISTENING);
}

/** Never rejects. */
async function reply(files: Files, { id, call, args, provided }: FileRequest): Promise<FileReply> {
  try {
    if (provided) await requireUnchanged(files, provided);
    const operation: (...args: never[]) => Promise<unknown> = files[call];
    return { id, value: await operation.apply(files, args as never[]) };
  } catch (error) {
    return { id, failure: toFailure(error) };
  }
}

/** @throws PosixError unavailable */
async function requireUnchanged(files: Files, { path, ...then }: WriteGuard): Promise<void> {
  const now = await files.mountedFile(path);
  if (now?.mountId === then.mountId && now.device === then.device && now.modified === then.modified) return;
  throw new PosixError(
    "ESTALE",
    `"${path}" is not there as it was: is the storage still mounted?`,
    "unavailable",
  );
}

/** V8's collector, which the executable exposes (--expose-gc); elsewhere it is absent. */
function collectGarbage(): void {
  (globalThis as { readonly gc?: () => void }).gc?.();
}
