import {
  type GuestCapabilities,
  parseCapabilities,
  parseDomainCapabilities,
  parseOfferedDevices,
} from "../domain_xml/mod.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { NetType } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { TargetCheck } from "./migration_exchange.ts";
import type { Obstacles } from "./migration_obstacles.ts";

/** A libvirt that is asked whether it can take a VM: this host's own, or another's. */
export type AskedLibvirt = Pick<
  Hypervisor,
  "capabilities" | "domains" | "hypervisorVersion" | "domainCapabilities" | "compareCpu" | "activeNetworks"
>;

/**
 * What libvirt on the target has against a VM; the messages speak from its host.
 * @throws VirtxError if it is away
 */
export async function checkLibvirt(
  libvirt: AskedLibvirt,
  request: TargetCheck,
  obstacles: Obstacles,
): Promise<void> {
  const guest = await platform(libvirt, request, obstacles);
  await Promise.all([
    unique(libvirt, request, obstacles),
    guest && machineAndProcessor(libvirt, request, guest, obstacles),
    networks(libvirt, request, obstacles),
  ]);
}

/** Whether the host runs guests of that kind at all; what it offers them. */
async function platform(
  libvirt: AskedLibvirt,
  request: TargetCheck,
  obstacles: Obstacles,
): Promise<GuestCapabilities | undefined> {
  const { arch, domainType, machine } = request;
  const { guests } = parseCapabilities(await libvirt.capabilities());
  const guest = guests.find((candidate) => candidate.arch === arch);
  if (guest === undefined) {
    obstacles.unless(false, "arch", `guests of architecture ${arch} cannot run here`);
    return undefined;
  }
  const typed = obstacles.unless(
    guest.domainTypes.includes(domainType),
    "domain_type",
    `domains of type ${domainType} cannot run here, but ${guest.domainTypes.join(", ")}`,
  );
  const known = obstacles.unless(
    machine === "" || guest.machines.has(machine),
    "machine",
    `this QEMU has no machine type ${machine}`,
  );
  return typed && known ? guest : undefined;
}

async function unique(
  libvirt: AskedLibvirt,
  { vm, name }: TargetCheck,
  obstacles: Obstacles,
): Promise<void> {
  const known = await libvirt.domains();
  const namesake = known.find((other) => other.uuid !== vm && other.name === name);
  obstacles.unless(
    namesake === undefined,
    "defined",
    `libvirt here has another VM of the name "${name}" (${namesake?.uuid}); rename one of them (virsh domrename)`,
  );
  obstacles.unless(known.every(({ uuid }) => uuid !== vm), "defined", `VM ${vm} is known to libvirt here`);
}

/** What the machine type offers here, and the processor. */
async function machineAndProcessor(
  libvirt: AskedLibvirt,
  request: TargetCheck,
  guest: GuestCapabilities,
  obstacles: Obstacles,
): Promise<void> {
  const { arch, machine, domainType, emulator, live, cpu } = request;
  if (machine === "") return; // libvirt's test driver, which knows neither machine types nor processors
  if (live) {
    const qemu = await libvirt.hypervisorVersion();
    const older = minor(qemu) < minor(request.qemuVersion);
    obstacles.unless(
      !older,
      "qemu_version",
      `QEMU ${dotted(qemu)} is older than ${dotted(request.qemuVersion)}`,
    );
  }
  const kind = { arch, machine, virttype: domainType, emulator: emulator || guest.emulator };
  const offered = await orRefusal(libvirt.domainCapabilities(kind));
  if (typeof offered !== "string") {
    obstacles.unless(false, "emulator", `${kind.emulator}: ${offered.message}`);
    return;
  }
  const { firmware, maxVcpus } = parseDomainCapabilities(offered);
  obstacles.unless(!request.uefi || firmware.has("efi"), "firmware", "there is no UEFI firmware here");
  obstacles.unless(
    maxVcpus === 0 || request.vcpus <= maxVcpus,
    "vcpus",
    `${request.vcpus} virtual CPUs are more than ${machine} can have here: ${maxVcpus}`,
  );
  const devices = parseOfferedDevices(offered);
  for (const { kind, type } of request.devices ?? []) {
    obstacles.unless(
      devices.get(kind)?.has(type) ?? true,
      "lacking",
      `there is no ${kind} of type "${type}" here, for which software is missing; install it, or change the device first`,
    );
  }
  if (cpu === "") return;
  const comparison = await orRefusal(libvirt.compareCpu(cpu, kind));
  const reason = comparison instanceof VirtxError
    ? comparison.message
    : comparison.verdict === "incompatible"
    ? comparison.reason
    : undefined;
  obstacles.unless(reason === undefined, "cpu", reason ?? "");
}

async function networks(libvirt: AskedLibvirt, { nets }: TargetCheck, obstacles: Obstacles): Promise<void> {
  const wanted = nets.filter(({ nettype }) => nettype === NetType.network);
  const active = wanted.length > 0 ? await libvirt.activeNetworks() : [];
  for (const { name } of wanted) {
    obstacles.unless(active.includes(name), "network", `network "${name}" is not active here`);
  }
}

/** The answer, or why it was refused; that libvirt is away is thrown. */
export async function orRefusal<T>(answer: Promise<T>): Promise<T | VirtxError> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof VirtxError) || error.kind === "unavailable" || error.kind === "timeout") {
      throw error;
    }
    return error;
  }
}

/** QEMU's version without the patch level, which says nothing about what it understands. */
function minor(version: number): number {
  return Math.trunc(version / 1_000);
}

function dotted(version: number): string {
  return [version / 1_000_000, version / 1_000, version].map((part) => Math.trunc(part) % 1_000).join(".");
}
