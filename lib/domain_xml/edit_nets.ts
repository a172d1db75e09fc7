import { isDeepStrictEqual } from "node:util";
import { isKeptNet } from "../model/kept.ts";
import type { Net } from "../model/vm.ts";
import { interfaceElement } from "./build.ts";
import type { XmlNode } from "./document.ts";
import { type Edit, matchDevices, refusal } from "./editing.ts";
import { attribute, child, children, element } from "./element.ts";

/** An interface that stays, and what it is to be. */
interface Kept {
  readonly node: XmlNode;
  readonly before: Net;
  readonly after: Net;
}

/** Interfaces: those that stay keep their place on the bus, whatever goes before them. */
export function editNets(edit: Edit): void {
  const { devices, from, to } = edit;
  const nodes = devices.children.filter(({ name }) => name === "interface");
  const slots = matchNets(from.nets, to.nets).map((at, index): Kept | Net => {
    const [node, before, after] = [nodes[at], from.nets[at], to.nets[index]];
    return node && before && after ? { node, before, after } : to.nets[index] as Net;
  });
  const kept = slots.filter((slot): slot is Kept => "node" in slot);
  for (const node of nodes) if (!kept.some((each) => each.node === node)) devices.remove(node);
  for (const slot of kept) change(slot);
  const inOrder = kept.every(({ node }, at) =>
    at === 0 || nodes.indexOf(kept[at - 1]?.node as XmlNode) < nodes.indexOf(node)
  );
  let last = anchor(devices, kept[0]?.node);
  const all: XmlNode[] = [];
  for (const slot of slots) {
    if (!("node" in slot)) {
      last = devices.insertAfter(last, interfaceElement(slot, to.vlanid));
    } else if (inOrder) last = slot.node;
    else {
      devices.remove(slot.node);
      last = devices.insertAfter(last, slot.node);
    }
    all.push(last);
  }
  if (from.vlanid === to.vlanid) return;
  for (const [index, node] of all.entries()) {
    if (!isKeptNet(to.nets[index] as Net)) setVlan(edit, node);
  }
}

/**
 * For each interface that is wanted, which of the old ones it is; -1: none. By address, else by all that it is, else by its
 * position: then it gets another address or network. What the model has no word for is itself, or is replaced.
 */
function matchNets(old: readonly Net[], wanted: readonly Net[]): number[] {
  return matchDevices(old, wanted, [
    isDeepStrictEqual,
    (before, after) => !isKeptNet(before) && after.mac !== "" && before.mac === after.mac,
    (before, after) =>
      after.mac === "" && before.name === after.name && before.nettype === after.nettype &&
      before.model === after.model,
    (before, _after, at, index) => !isKeptNet(before) && at === index,
  ]);
}

function change({ node, before, after }: Kept): void {
  const fresh = interfaceElement(after, 0);
  if (before.name !== after.name || before.nettype !== after.nettype) {
    node.set("type", attribute(fresh, "type"));
    node.put(node.child("source"), child(fresh, "source") ?? element("source"));
  }
  if (before.model !== after.model) node.put(node.child("model"), child(fresh, "model") ?? element("model"));
  if (after.mac !== "" && before.mac !== after.mac) {
    const mac = node.child("mac");
    if (mac) mac.set("address", after.mac);
    else node.append(element("mac", { address: after.mac }));
  }
}

function setVlan({ to }: Edit, node: XmlNode): void {
  const vlan = node.child("vlan");
  if (attribute(vlan, "trunk") !== undefined || children(vlan, "tag").length > 1) {
    throw refusal(to, "vlanid", "cannot be changed: an interface is in several VLANs");
  }
  if (to.vlanid === 0) node.remove(vlan);
  else if (vlan?.child("tag")) vlan.child("tag")?.set("id", to.vlanid);
  else node.put(vlan, element("vlan", {}, element("tag", { id: to.vlanid })));
}

/** Behind which device the first interface goes: the one before those that there are, else before the first that is neither disk nor controller. */
function anchor(devices: XmlNode, first: XmlNode | undefined): XmlNode | undefined {
  const at = first ? devices.children.indexOf(first) : -1;
  if (at > 0) return devices.children[at - 1];
  return devices.children.findLast(({ name }) => ["emulator", "controller", "disk"].includes(name));
}
