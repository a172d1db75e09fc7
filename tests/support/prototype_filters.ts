/** The list filters of the prototype's client as Go's encoder writes them: every field, those that are not set as "" or 0. */

type Fields = Readonly<Record<string, unknown>>;

/** VmListOptions, with these fields set. */
export function vmFilter(set: Fields = {}) {
  const unset = { name: "", host: "", runstate: 0, vlanid: 0, custom: { name: "", value: "" }, ts: 0 };
  return { filter: { ...unset, ...set } };
}

/** HostListOptions, with these fields set. */
export function hostFilter({ cpuarch, cpudef, ...set }: Readonly<Record<string, unknown>> & {
  readonly cpuarch?: Fields;
  readonly cpudef?: Fields;
} = {}) {
  return {
    filter: {
      name: "",
      cpuarch: { arch: "", vendor: "", ...cpuarch },
      cpudef: { model: "", nodes: 0, sockets: 0, cores: 0, threads: 0, ...cpudef },
      cstate: 0,
      memoryavailable: 0,
      hpavailable: 0,
      osid: "",
      osv: "",
      ts: 0,
      ...set,
    },
  };
}
