import type { FieldIssue } from "../model/error.ts";

/**
 * The filters that the prototype's client sends in the body of a list request, `{"filter": {…}}`, with every field that
 * there is; those that are empty or 0 are not set (protocol.md §1).
 */

/** The query parameter that means the same as a field of the filter, by the field's path in it. */
export type FilterFields = Readonly<Record<string, string>>;

/** Those of VmListOptions. */
export const VM_FILTER: FilterFields = {
  name: "name",
  host: "host",
  runstate: "runstate",
  vlanid: "vlanid",
  "custom.name": "custom.name",
  "custom.value": "custom.value",
  ts: "ts",
};

/** Those of HostListOptions. */
export const HOST_FILTER: FilterFields = {
  name: "name",
  "cpuarch.arch": "arch",
  "cpuarch.vendor": "vendor",
  "cpudef.model": "model",
  "cpudef.nodes": "nodes",
  "cpudef.sockets": "sockets",
  "cpudef.cores": "cores",
  "cpudef.threads": "threads",
  cstate: "cstate",
  memoryavailable: "memoryavailable",
  hpavailable: "hpavailable",
  osid: "osid",
  osv: "osv",
  ts: "ts",
};

/**
 * The URL that asks by its query for what a list request asks for by its body, so that there is one way to filter. A field
 * that is set and not known is an issue: to leave a filter out would select too much.
 */
export function withFilter(url: string, body: unknown, fields: FilterFields, issues: FieldIssue[]): string {
  const parameters: string[] = [];
  for (const [path, value] of settings(body, "")) {
    const parameter = path.startsWith("filter.") ? fields[path.slice("filter.".length)] : undefined;
    if (parameter === undefined) issues.push({ field: path.slice(0, 64), message: "is not known" });
    else if (typeof value === "string" || typeof value === "number") {
      parameters.push(`${parameter}=${encodeURIComponent(value)}`);
    } else issues.push({ field: path, message: "must be a string or a number" });
  }
  if (parameters.length === 0) return url;
  return `${url}${url.includes("?") ? "&" : "?"}${parameters.join("&")}`;
}

/** How deep the fields are: `filter.custom.name`. */
const DEPTH = 3;

/** What is set in a JSON value, with its path. */
function* settings(value: unknown, path: string, depth = 0): Iterable<[string, unknown]> {
  if (!value) return; // "", 0, false, null
  if (typeof value !== "object" || Array.isArray(value) || depth === DEPTH) {
    yield [path, value];
    return;
  }
  for (const [name, inner] of Object.entries(value)) {
    yield* settings(inner, path === "" ? name : `${path}.${name}`, depth + 1);
  }
}
