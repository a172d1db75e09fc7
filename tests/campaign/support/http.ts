/** What a host answered; status 0: nothing. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  /** If that is JSON. */
  readonly body: unknown;
  readonly etag: string | undefined;
}

const TIMEOUT_MS = 60_000;

/** Asks a host by plain HTTP; never throws. */
export async function ask(
  url: string,
  method: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { ...headers, ...body !== undefined && { "content-type": "application/json" } },
      ...body !== undefined && { body: JSON.stringify(body) },
    });
    const text = await response.text();
    const etag = response.headers.get("etag") ?? undefined;
    return { status: response.status, text, body: parsed(text), etag };
  } catch (error) {
    return {
      status: 0,
      text: error instanceof Error ? error.message : String(error),
      body: {},
      etag: undefined,
    };
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
