import { Connection } from "../../lib/libvirt/connection.ts";
import { Runtime } from "../../lib/libvirt/runtime.ts";
import { silentLogger } from "../../lib/model/log.ts";
import { VirtxError } from "../../lib/model/error.ts";

/** libvirt without the facade, for tests of what is below it: any number of connections to one URI. */
export class LibvirtConnections implements AsyncDisposable {
  readonly runtime = new Runtime(silentLogger);
  readonly #uri: string;

  constructor(uri: string) {
    this.#uri = uri;
  }

  open(): Promise<Connection> {
    return Connection.open(this.runtime, this.#uri);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runtime[Symbol.asyncDispose]();
  }
}

/** The VirtxError that the promise rejects with. */
export async function refusal(promise: Promise<unknown>): Promise<VirtxError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof VirtxError) return error;
    throw error;
  }
  throw new Error("Expected a failure, got none");
}
