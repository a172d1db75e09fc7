import { Document } from "yaml";

/** Values as YAML, which tools of YAML 1.1 read alike: it puts `no` in quotes. Long lines are not broken. */
export function printYaml(tree: unknown): string {
  return new Document(tree, {
    version: "1.2",
    schema: "core",
    compat: "yaml-1.1",
    aliasDuplicateObjects: false,
  })
    .toString({ lineWidth: 0 });
}
