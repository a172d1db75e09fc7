/** Where the configuration of the client is. */
export function configPath(env: (name: string) => string | undefined): string {
  const named = env("VIRTX_CONFIG");
  if (named) return named;
  return `${env("XDG_CONFIG_HOME") || `${homeOf(env)}/.config`}/virtx/config.toml`;
}

/** The caller's home: in the self-extracting form the runtime has another one. */
export function homeOf(env: (name: string) => string | undefined): string {
  return env("VIRTX_HOME") || env("HOME") || "/";
}

/** Where the client keeps what it can do without. */
export function cachePath(env: (name: string) => string | undefined): string {
  return `${env("XDG_CACHE_HOME") || `${homeOf(env)}/.cache`}/virtx`;
}
