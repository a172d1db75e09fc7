import { must, run } from "../command.ts";
import type { Realm } from "./realm.ts";
import type { HostRecord, LabRecord } from "./state.ts";

/**
 * The lab's network: a switch (bridge br0 in a namespace of its own), a cable from it to each host, and one to the
 * machine, so that a person there can reach the hosts. A host's end of the cable is eth0, a port of the host's own bridge
 * br0, to which guests are connected, too. Nothing is routed, forwarded or filtered on the machine.
 */

/** 198.18.0.0/15 is set aside for tests of network devices (RFC 2544): machines hardly use it. It has 512 /24. */
const SUBNETS = 512;

/** The machine's address in each lab's subnet. */
const MACHINE = 1;

/** A subnet that neither the machine's routes nor other labs use; a name gets the same one whenever it is free. */
export async function chooseSubnet(name: string, others: readonly LabRecord[]): Promise<string> {
  const routes = JSON.parse(await must(["ip", "-json", "-4", "route", "show", "table", "all"])) as {
    dst: string;
  }[];
  const taken = [
    ...routes.map((route) => route.dst).filter((to) => to !== "default").map(rangeOf),
    ...others.map((lab) => rangeOf(`${lab.subnet}.0/24`)),
  ];
  const first = await hash(name);
  for (let i = 0; i < SUBNETS; i++) {
    const index = (first + i) % SUBNETS;
    const subnet = `198.${18 + (index >> 8)}.${index & 255}`;
    const range = rangeOf(`${subnet}.0/24`);
    if (!taken.some((other) => range.first <= other.last && other.first <= range.last)) return subnet;
  }
  throw new Error("No subnet is free for the lab: the machine has routes to all of 198.18.0.0/15");
}

/** The name of a lab's device on the machine; device names have at most 15 characters. */
export function uplinkName(id: string): string {
  return `vxlab${id.slice(0, 8)}`;
}

/** The address of the n-th host, counted from 1. */
export function hostAddress(subnet: string, n: number): string {
  return `${subnet}.${10 + n}`;
}

/** Sets up the switch and the machine's cable to it. */
export async function buildSwitch(lab: LabRecord, realm: Realm): Promise<void> {
  await run(["ip", "link", "delete", lab.uplink]); // What an ended realm may have left for the moment.
  await realm.ip(["link set lo up", "link add br0 type bridge", "link set br0 up"]);
  await must([
    "ip",
    "link",
    "add",
    lab.uplink,
    "type",
    "veth",
    "peer",
    "name",
    "machine",
    "netns",
    `${realm.pid}`,
  ]);
  await realm.ip(["link set machine master br0 up"]);
  await must(["ip", "address", "add", `${lab.subnet}.${MACHINE}/24`, "dev", lab.uplink]);
  await must(["ip", "link", "set", lab.uplink, "up"]);
}

/** Sets up a host's network and connects it to the switch, unless that is so already. */
export async function connectHost(host: HostRecord, realm: Realm, lan: Realm): Promise<void> {
  if (await isConnected(realm) && await isConnected(lan, host.name)) return;
  await lan.ip([`link delete ${host.name}`], { force: true });
  await realm.ip(["link delete eth0", "link delete br0"], { force: true });
  const cable = ["type", "veth", "peer", "name", "eth0", "netns", `${realm.pid}`];
  await must(["ip", "link", "add", host.name, "netns", `${lan.pid}`, ...cable]);
  await lan.ip([`link set ${host.name} master br0 up`]);
  await realm.ip([
    "link set lo up",
    // Given an address, the bridge keeps it. Else it takes the lowest of its ports', which may be a guest's: and one that
    // migrates has its interface on two hosts.
    `link add br0 address ${hardwareAddress(host.address)} type bridge`,
    "link set eth0 master br0 up",
    `address add ${host.address}/24 dev br0`,
    "link set br0 up",
  ]);
}

/** The MAC address, locally administered, of the host with an IPv4 address. */
function hardwareAddress(address: string): string {
  const octets = [2, 0, ...address.split(".").map(Number)];
  return octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}

/** Whether the device is a running port of br0, and br0 has an address if it should. */
async function isConnected(realm: Realm, port = "eth0"): Promise<boolean> {
  const { stdout } = await run(realm.enter(["net"], ["ip", "-json", "address", "show", "up"]));
  const devices = JSON.parse(stdout || "[]") as {
    ifname: string;
    master?: string;
    addr_info: { family: string }[];
  }[];
  const plugged = devices.some((device) => device.ifname === port && device.master === "br0");
  if (port !== "eth0") return plugged;
  return plugged && devices.some((d) => d.ifname === "br0" && d.addr_info.some((a) => a.family === "inet"));
}

/** First and last address of a route's destination, as numbers. */
function rangeOf(destination: string): { first: number; last: number } {
  const [address = "", length = "32"] = destination.split("/");
  const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(length));
  return { first: number - number % size, last: number - number % size + size - 1 };
}

/** A 32-bit number from a name. */
async function hash(name: string): Promise<number> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
  return new DataView(digest).getUint32(0);
}
