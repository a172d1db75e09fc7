import type { LabHost } from "../host.ts";
import type { Lab } from "../lab.ts";

/** A host's power fails: nothing on it can say good-bye. It boots when this is disposed. */
export async function powerFailure(lab: Lab, host: LabHost): Promise<AsyncDisposable> {
  await host.crash();
  return {
    async [Symbol.asyncDispose]() {
      await lab.boot(host);
    },
  };
}
