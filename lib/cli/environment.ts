/**
 * What the runtime obeys wherever it finds it, and virtxd has settings of its own for, or no use: variables that are set for
 * other programs must not send what hosts say to each other to a proxy, or have the API listen elsewhere.
 */
const FOREIGN = [
  "ALL_PROXY",
  "all_proxy",
  "HTTP_PROXY",
  "http_proxy",
  "HTTPS_PROXY",
  "https_proxy",
  "NO_PROXY",
  "no_proxy",
  "DENO_SERVE_ADDRESS",
  "DENO_TRUST_PROXY_HEADERS",
];

/** Forgets what the environment says to the runtime rather than to us. To be called before anything connects or listens. */
export function forgetForeignVariables(env: Pick<Deno.Env, "delete">): void {
  for (const name of FOREIGN) env.delete(name);
}
