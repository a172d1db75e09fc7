import { vcpus } from "../model/vm.ts";
import { cpuElement } from "./build_cpu.ts";
import { memoryBackingElement, numatuneElement } from "./build.ts";
import type { XmlNode } from "./document.ts";
import { type Edit, refusal } from "./editing.ts";
import { attribute, child, element, printXml, type XmlElement } from "./element.ts";
import { memoryMiB } from "./parse.ts";

/** Processors: their number, model and layout. */
export function editCpu({ domain, from, to, context }: Edit): void {
  const [before, wanted] = [cpuElement(from, context), cpuElement(to, context)];
  if (printXml(before) === printXml(wanted)) return;
  editCount(
    domain,
    vcpus(from.cpudef),
    vcpus(to.cpudef),
    () => refusal(to, "cpudef", "cannot be changed: <vcpus> lists each processor"),
  );
  const cpu = domain.child("cpu") ?? domain.append(element("cpu"));
  if (from.cpudef.model !== to.cpudef.model) {
    for (const name of ["mode", "match", "check", "migratable"]) cpu.set(name, attribute(wanted, name));
    replace(cpu, "model", wanted);
  }
  if (differ(before, wanted, "topology")) setTopology(cpu, child(wanted, "topology"));
  if (differ(before, wanted, "maxphysaddr") && child(cpu, "maxphysaddr")) replace(cpu, "maxphysaddr", wanted);
  if (differ(before, wanted, "numa")) {
    if (!cellsAreEven(cpu.child("numa"))) {
      throw refusal(to, "cpudef.nodes", "cannot be changed: <numa> has cells of its own kind");
    }
    replace(cpu, "numa", wanted);
  }
}

function editCount(domain: XmlNode, before: number, after: number, listed: () => Error): void {
  if (before === after) return;
  if (domain.child("vcpus")) throw listed();
  const vcpu = domain.child("vcpu") ?? domain.append(element("vcpu"));
  vcpu.setText(after);
  // Fewer of them may be plugged in than there are.
  const current = Number(attribute(vcpu, "current") ?? before);
  if (current !== before) vcpu.set("current", Math.min(current, after));
  const allocation = domain.child("memoryBacking")?.child("allocation");
  if (attribute(allocation, "threads") === String(before)) allocation?.set("threads", after);
}

/** libvirt adds "dies" and, later, "clusters", which the model counts among the sockets. */
function setTopology(cpu: XmlNode, wanted: XmlElement | undefined): void {
  const topology = cpu.child("topology") ?? cpu.append(element("topology"));
  for (const name of ["dies", "clusters"]) if (attribute(topology, name) !== undefined) topology.set(name, 1);
  for (const name of ["sockets", "cores", "threads"]) topology.set(name, attribute(wanted, name));
}

/** Whether the cells are as virtxd makes them: none has more than its processors and its memory. */
function cellsAreEven(numa: XmlNode | undefined): boolean {
  const known = ["id", "cpus", "memory", "unit"];
  const isOurs = (cell: XmlNode) =>
    cell.name === "cell" && cell.children.length === 0 &&
    [...cell.attributes.keys()].every((name) => known.includes(name));
  return numa?.children.every(isOurs) ?? true;
}

/** How much memory there is, and of which pages. */
export function editMemory({ domain, devices, from, to }: Edit): void {
  if (from.memory.total !== to.memory.total) {
    if (domain.child("maxMemory") || devices.child("memory")) {
      throw refusal(to, "memory.total", "cannot be changed: the VM has memory modules or room for them");
    }
    const current = domain.child("currentMemory");
    const given = current && memoryMiB(current);
    for (const node of [domain.child("memory") ?? domain.append(element("memory"))]) {
      setMiB(node, to.memory.total);
    }
    // A guest may have given some of it back.
    if (current && (given === from.memory.total || (given ?? 0) > to.memory.total)) {
      setMiB(current, to.memory.total);
    }
  }
  if (from.memory.hp !== to.memory.hp) {
    editPages(domain, to.memory.hp, memoryBackingElement(to.memory.hp ? to : from));
  }
}

function setMiB(node: XmlNode, mib: number): void {
  node.set("unit", "MiB");
  node.setText(mib);
}

function editPages(domain: XmlNode, huge: boolean, ours: XmlElement): void {
  const backing = domain.child("memoryBacking");
  if (huge) {
    const into = backing ?? domain.append(element("memoryBacking"));
    for (const part of ours.children) if (!into.child(part.name)) into.append(part);
    return;
  }
  backing?.remove(backing.child("hugepages"));
  const allocation = backing?.child("allocation");
  const threads = attribute(child(ours, "allocation"), "threads");
  if (attribute(allocation, "threads") === threads) backing?.remove(allocation);
  if (backing?.children.length === 0) domain.remove(backing);
}

/** Whether numad places the guest. */
export function editPlacement({ domain, from, to }: Edit): void {
  if (from.numa.placement === to.numa.placement) return;
  const tune = domain.child("numatune");
  const memory = tune?.child("memory");
  if (to.numa.placement) {
    if (memory) {
      memory.set("placement", "auto");
      memory.set("nodeset", undefined);
    } else if (tune) tune.append(element("memory", { mode: "strict", placement: "auto" }));
    else domain.append(numatuneElement());
    return;
  }
  tune?.remove(memory);
  if (tune?.children.length === 0) domain.remove(tune);
  // libvirt has numad place the processors along with the memory.
  const vcpu = domain.child("vcpu");
  if (attribute(vcpu, "placement") === "auto") vcpu?.set("placement", "static");
}

function replace(parent: XmlNode, name: string, wanted: XmlElement): void {
  const fresh = child(wanted, name);
  if (fresh) parent.put(parent.child(name), fresh);
  else parent.remove(parent.child(name));
}

function differ(before: XmlElement, wanted: XmlElement, name: string): boolean {
  const printed = (of: XmlElement | undefined) => of && printXml(of);
  return printed(child(before, name)) !== printed(child(wanted, name));
}
