import { Firmware } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { allDisks, type Vmdef } from "../model/vm.ts";
import { askedOf } from "./build.ts";
import type { DomainContext } from "./context.ts";
import { XmlDocument } from "./document.ts";
import { editCpu, editMemory, editPlacement } from "./edit_cpu.ts";
import { editDisks, keepDiskOrder } from "./edit_disks.ts";
import { editNets } from "./edit_nets.ts";
import { type Edit, refusal } from "./editing.ts";
import { child, element, namespaceOf } from "./element.ts";
import { ASKED_NAMESPACE, metadataElement, VM_NAMESPACE } from "./metadata.ts";
import { parseDomainXml } from "./parse.ts";

/**
 * Changes a domain's inactive XML so that it says a new definition, and nothing else of it: what the model has no word for
 * stays as it is, and so do the addresses of the devices that stay.
 *
 * @throws VirtxError `conflict`, naming the fields, for what cannot be changed without taking away what others have set;
 *   `internal` if the document is not well-formed or no `<domain>`
 */
export function editDomainXml(xml: string, to: Vmdef, context: DomainContext): string {
  const { def: from } = parseDomainXml(xml);
  const document = XmlDocument.parse(xml, "domain");
  const domain = document.root;
  const devices = domain.child("devices") ?? domain.append(element("devices"));
  const edit: Edit = { domain, devices, from, to, context };
  if (from.firmware !== to.firmware) {
    throw refusal(to, "firmware", `is ${firmwareName(from)}, and cannot be changed without a new machine`);
  }
  editName(edit);
  editGenid(edit);
  editMemory(edit);
  editCpu(edit);
  editPlacement(edit);
  editDisks(edit);
  editNets(edit);
  editMetadata(edit);
  keepDiskOrder(edit, parseDomainXml(document.print()).def);
  const edited = document.print();
  requireTold(parseDomainXml(edited).def, to);
  return edited;
}

function firmwareName({ firmware }: Vmdef): string {
  return firmware === Firmware.uefi ? "uefi" : "bios";
}

/** libvirt refuses another `<name>`; ours is the title, and virtxd's own VMs have it as their description, too. */
function editName({ domain, from, to }: Edit): void {
  if (from.name === to.name) return;
  const title = domain.child("title");
  if (title) title.setText(to.name);
  else domain.insertAfter(domain.child("genid") ?? domain.child("uuid"), element("title", {}, to.name));
  const description = domain.child("description");
  if (description?.text === from.name) description.setText(to.name);
}

function editGenid({ domain, from, to, context }: Edit): void {
  if (from.genid === to.genid) return;
  if (to.genid === "" || context.capabilities?.genid === false) return domain.remove(domain.child("genid"));
  const genid = element("genid", {}, to.genid === "auto" ? "" : to.genid);
  const old = domain.child("genid");
  if (old) domain.put(old, genid);
  else domain.insertAfter(domain.child("uuid"), genid);
}

/** Ours alone; records of operations and what other tools keep there stay. */
function editMetadata({ domain, from, to, context }: Edit): void {
  const wanted = metadataElement(to.custom, askedOf(to, context), []);
  const replace = (namespace: string, name: string) => {
    const fresh = child(wanted, name);
    const metadata = domain.child("metadata");
    const old = metadata?.children.find((entry) => namespaceOf(entry, [domain, metadata]).uri === namespace);
    if (fresh) (metadata ?? domain.append(element("metadata"))).put(old, fresh);
    else metadata?.remove(old);
  };
  if (JSON.stringify(from.custom) !== JSON.stringify(to.custom)) replace(VM_NAMESPACE, "data-vm");
  const asks = (def: Vmdef) => JSON.stringify([def.cpudef.model, def.genid, def.vlanid, def.nets.length]);
  if (asks(from) !== asks(to)) replace(ASKED_NAMESPACE, "data-asked");
}

/** What was asked for must be what is there: whatever this module does not know how to say is refused, not forgotten. */
function requireTold(told: Vmdef, wanted: Vmdef): void {
  const fields = differences(told, wanted);
  if (fields.length === 0) return;
  const issues = fields.map((field) => ({
    field: `vmdef.${field}`,
    message: "cannot be changed in this VM, whose definition has what virtxd did not set",
  }));
  throw new VirtxError("conflict", `Cannot change VM "${wanted.name}"`, { issues });
}

function differences(told: Vmdef, wanted: Vmdef): string[] {
  const differ = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b);
  const fields: string[] = [];
  for (const field of ["name", "cpudef", "memory", "numa", "vlanid", "firmware", "custom"] as const) {
    if (differ(sorted(told[field]), sorted(wanted[field]))) fields.push(field);
  }
  if (wanted.genid !== "auto" && told.genid !== wanted.genid) fields.push("genid");
  const [os, ...others] = allDisks(told).map(withoutSize);
  const [wantedOs, ...wantedOthers] = allDisks(wanted).map(withoutSize);
  if (differ(os, wantedOs)) fields.push("osdisk");
  if (differ(others.map(text).toSorted(), wantedOthers.map(text).toSorted())) fields.push("disks");
  const nets = told.nets.map((net, at) => wanted.nets[at]?.mac === "" ? { ...net, mac: "" } : net);
  if (differ(nets.map(sorted), wanted.nets.map(sorted))) fields.push("nets");
  return fields;
}

function withoutSize({ path, device, bus, man, prov }: Vmdef["osdisk"]) {
  return { path, device, bus, man, prov };
}

/** Objects of the model in one order of their keys, however they came about. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => a < b ? -1 : 1));
}

function text(value: unknown): string {
  return JSON.stringify(value);
}
