import { until } from "../lab/until.ts";
import { print } from "../progress.ts";

/** A request of the demo; the body comes from a file, so that the reader can send the same. */
export interface DemoRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  /** Path of a JSON file, below the project's directory. */
  readonly file?: string;
  /** A short body instead of a file's. */
  readonly body?: string;
}

/** Talks to virtxd by REST, and shows every request as the curl line that repeats it. */
export class Rest {
  /** @param root the project's directory, that files are relative to */
  constructor(readonly url: string, private readonly root: string) {}

  /** Waits until virtxd is ready. */
  async ready(timeoutMs: number): Promise<void> {
    await until(
      `virtxd to be ready at ${this.url}`,
      async () => {
        try {
          const response = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(2_000) });
          await response.body?.cancel();
          return response.ok || undefined;
        } catch (error) {
          if (error instanceof TypeError || error instanceof DOMException) return undefined; // Nobody answers yet.
          throw error;
        }
      },
      timeoutMs,
      50,
    );
  }

  /** Shows a request, sends it, shows the answer; its JSON, or undefined if it has no body. */
  async show(request: DemoRequest): Promise<unknown> {
    print(`\n  $ ${this.curl(request)}\n`);
    const begin = performance.now();
    const { status, text } = await this.#send(request);
    const milliseconds = Math.round(performance.now() - begin);
    print(`  ${status} after ${milliseconds} ms ${text.trim()}\n`);
    if (status >= 300) throw new Error(`${request.method} ${request.path} failed with ${status}: ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  /** Asks without showing. */
  async get(path: string): Promise<unknown> {
    return JSON.parse((await this.#send({ method: "GET", path })).text);
  }

  /** The command line that sends the same request. */
  curl({ method, path, file, body }: DemoRequest): string {
    const how = method === "GET" ? [] : ["-X", method];
    const data = file ? `@${file}` : body && `'${body}'`;
    const content = data ? ["-H", "'Content-Type: application/json'", "-d", data] : [];
    const url = path.includes("?") ? `'${this.url}${path}'` : `${this.url}${path}`;
    return ["curl", ...how, ...content, url].join(" ");
  }

  async #send({ method, path, file, body }: DemoRequest): Promise<{ status: number; text: string }> {
    const content = file ? await Deno.readTextFile(`${this.root}/${file}`) : body;
    const response = await fetch(`${this.url}${path}`, {
      method,
      ...(content !== undefined && { body: content, headers: { "Content-Type": "application/json" } }),
    });
    return { status: response.status, text: await response.text() };
  }
}
