/** The languages that definitions are written in. */
export const FORMATS = ["json", "yaml", "toml"] as const;
export type Format = (typeof FORMATS)[number];

/** The format of a file by the end of its name; else, as of standard input, by how its text begins. */
export function formatOf(path: string, text: string): Format {
  const extension = /\.(json|ya?ml|toml)$/i.exec(path)?.[1]?.toLowerCase();
  if (extension === "json" || extension === "toml") return extension;
  if (extension !== undefined) return "yaml";
  const first = /^(?:\uFEFF)?(?:\s|#.*$)*(.*)/m.exec(text)?.[1] ?? "";
  if (first.startsWith("{")) return "json";
  return /^(\[|[\w"'.-]+[ \t]*=)/.test(first) ? "toml" : "yaml";
}
