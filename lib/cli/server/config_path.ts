import { ConfigurationError } from "../configuration_error.ts";

/**
 * Where the configuration of the client is.
 * @throws ConfigurationError if that cannot be told
 */
export function configPath(env: (name: string) => string | undefined): string {
  const path = configPathIfAny(env);
  if (path !== undefined) return path;
  throw new ConfigurationError(
    "HOME is not set, so there is no configuration file: name one by VIRTX_CONFIG",
  );
}

/** The same; undefined: it cannot be told, so there is none. */
export function configPathIfAny(env: (name: string) => string | undefined): string | undefined {
  return env("VIRTX_CONFIG") || below(env, "XDG_CONFIG_HOME", ".config", "virtx/config.toml");
}

/** The caller's home: in the self-extracting form the runtime has another one. undefined: the caller has none. */
export function homeOf(env: (name: string) => string | undefined): string | undefined {
  return (env("VIRTX_HOME") ?? env("HOME")) || undefined;
}

/** Where the client keeps what it can do without; undefined: nowhere. */
export function cachePath(env: (name: string) => string | undefined): string | undefined {
  return below(env, "XDG_CACHE_HOME", ".cache", "virtx");
}

/** A path below one of the directories of the XDG Base Directory Specification, which stand in the home by default. */
function below(
  env: (name: string) => string | undefined,
  variable: string,
  inHome: string,
  path: string,
): string | undefined {
  const home = homeOf(env);
  const base = env(variable) || (home === undefined ? undefined : `${home}/${inHome}`);
  return base === undefined ? undefined : `${base}/${path}`;
}
