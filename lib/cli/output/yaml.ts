import { stringify } from "yaml";

/** Data as YAML; long texts stay on their line. A module of its own, so that the library is loaded for it alone. */
export function yamlText(data: unknown): string {
  return stringify(data, { lineWidth: 0 });
}
