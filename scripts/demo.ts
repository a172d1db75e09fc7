/**
 * The demonstration: builds virtxd, starts a lab of one host, and shows a VM's life by REST, from its creation to the
 * deletion of its disks.
 *
 *     deno task demo           ends by itself and leaves nothing running
 *     deno task demo --keep    leaves the lab with the running VM
 */
import { Rest } from "./demo/rest.ts";
import { guestImage } from "./guest/image.ts";
import { GuestConsole } from "./lab/guest_console.ts";
import type { LabHost } from "./lab/host.ts";
import { Lab } from "./lab/lab.ts";
import { until } from "./lab/until.ts";
import { ensurePackages, LAB_PACKAGES } from "./packages.ts";
import { print, printedProgress as progress, seconds } from "./progress.ts";
import { throughSudo } from "./root.ts";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const LAB = "demo";
const PORT = 8080;
const VIRTXD = "/usr/local/bin/virtxd";

/** Runstate "poweroff" of interop.md §1. */
const POWEROFF = 2;

interface Summary {
  readonly rest: Rest;
  readonly uuid: string;
}

function heading(text: string): void {
  print(`\n${text}\n`);
}

/** Executable, guest image, lab, and virtxd on the lab's host. */
async function prepare(): Promise<LabHost> {
  heading("Preparing");
  await build();
  const image = await guestImage(`${ROOT}/.lab/cache`, progress);
  await progress.step(`Lab ${LAB}: end what an earlier demo kept`, () => Lab.down(LAB));
  const host = (await Lab.up({ name: LAB, hosts: 1, progress })).host("virt1");
  await progress.step(`Copy virtxd and the guest's disk to ${host.name}`, async () => {
    await host.install(`${ROOT}/dist/virtxd`, VIRTXD);
    await host.install(image, "/vms/ds/web1.qcow2");
  });
  return host;
}

/** The executable, by the script that `deno task build` runs. */
async function build(): Promise<void> {
  const args = ["run", "--allow-all", `${ROOT}/scripts/build.ts`];
  const { code } = await new Deno.Command(Deno.execPath(), { args, stdout: "inherit", stderr: "inherit" })
    .output();
  if (code !== 0) throw new Error(`The executable could not be built: scripts/build.ts ended with ${code}`);
}

async function startVirtxd(host: LabHost): Promise<Rest> {
  const rest = new Rest(`http://${host.address}:${PORT}`, ROOT);
  await progress.step("Start virtxd on virt1 and wait until it is ready", async () => {
    // Emulation works everywhere; a /dev/kvm may be there that cannot run a guest.
    const flags = ["--listen", `0.0.0.0:${PORT}`, "--insecure", "--domain-type", "qemu"];
    await host.startDaemon("virtxd", [VIRTXD, ...flags]);
    await rest.ready(20_000);
  });
  return rest;
}

/** Creates and boots the VM, and waits for what its own console says. */
async function createAndBoot(host: LabHost, rest: Rest): Promise<{ uuid: string; terminal: GuestConsole }> {
  heading("Create a VM: its first disk is there already, virtxd makes the second");
  const uuid = String(await rest.show({ method: "POST", path: "/vms", file: "scripts/demo/create.json" }));
  heading("Boot it, with a cloud-init seed");
  await rest.show({ method: "POST", path: `/vms/${uuid}/runstate/boot`, file: "scripts/demo/boot.json" });
  heading("What the guest says on its serial console");
  const terminal = await GuestConsole.open(host, uuid);
  const [up] = await terminal.expect(/^guest up:.*/m, 90_000);
  const [says] = await terminal.expect(/^guest says:.*/m);
  print(`  > ${up.trim()}\n  > ${says.trim()}\n`);
  return { uuid, terminal };
}

async function list(rest: Rest, uuid: string): Promise<void> {
  heading("List VMs and look at this one and its host");
  await rest.show({ method: "GET", path: "/vms" });
  await rest.show({ method: "GET", path: `/vms/${uuid}` });
  await rest.show({ method: "GET", path: "/hosts" });
}

/** The end of the VM: by its power button, then its disks. */
async function shutDownAndDelete(
  host: LabHost,
  { rest, uuid }: Summary,
  terminal: GuestConsole,
): Promise<void> {
  heading("Shut it down by the ACPI power button");
  await rest.show({ method: "DELETE", path: `/vms/${uuid}/runstate/boot`, body: '{"force":0}' });
  const [down] = await terminal.expect(/^guest down:.*/m, 30_000);
  print(`  > ${down.trim()}\n`);
  await until("the VM to be off", async () => {
    const { runstate } = await rest.get(`/vms/${uuid}/runstate`) as { runstate: number };
    return runstate === POWEROFF || undefined;
  }, 30_000);
  await rest.show({ method: "GET", path: `/vms/${uuid}/runstate` });
  heading("Delete it, with its disks");
  await rest.show({ method: "DELETE", path: `/vms/${uuid}`, body: '{"deletestorage":true}' });
  const left = (await host.exec(["find", "/vms/ds", "-type", "f"])).trim();
  if (left !== "") throw new Error(`Disks are left: ${left}`);
  print("  /vms/ds has no file any more\n");
}

function keepNotes({ rest, uuid }: Summary): void {
  const shutdown = rest.curl({ method: "DELETE", path: `/vms/${uuid}/runstate/boot`, body: '{"force":0}' });
  const remove = rest.curl({ method: "DELETE", path: `/vms/${uuid}`, body: '{"deletestorage":true}' });
  heading("The lab stays. From this machine, in this directory:");
  print(`  the API, with its documentation   ${rest.url}/docs\n`);
  print(`  all VMs                           ${rest.curl({ method: "GET", path: "/vms" })}\n`);
  print(`  shut the VM down                  ${shutdown}\n`);
  print(`  delete it                         ${remove}\n`);
  print(`  a command on the host             deno task lab exec --name ${LAB} virt1 virsh list\n`);
  print(`  its logs                          deno task lab logs --name ${LAB} virt1\n`);
  print(`  end everything                    deno task lab down --name ${LAB}\n`);
}

async function demonstrate(keep: boolean): Promise<void> {
  const begin = performance.now();
  const host = await prepare();
  try {
    const prepared = performance.now();
    const rest = await startVirtxd(host);
    const { uuid, terminal } = await createAndBoot(host, rest);
    await using _terminal = terminal;
    await list(rest, uuid);
    if (keep) return keepNotes({ rest, uuid });
    await shutDownAndDelete(host, { rest, uuid }, terminal);
    const now = performance.now();
    heading(
      `Done: a VM was created, booted, listed, shut down and deleted in ${seconds(now - prepared)}, ` +
        `after ${seconds(prepared - begin)} of preparation.`,
    );
  } catch (error) {
    print(`\n${await lastLines(`${host.disk}/var/log/virtxd.log`)}\n`);
    throw error;
  }
}

/** The end of a log, of a host that may be down by now. */
async function lastLines(path: string): Promise<string> {
  const text = await Deno.readTextFile(path).catch(() => ""); // It may never have been started.
  return text.split("\n").slice(-30).join("\n");
}

/** Runs the demonstration, and ends the lab in whatever way it goes. */
async function main(args: readonly string[]): Promise<number> {
  const keep = args.includes("--keep");
  const unknown = args.find((arg) => arg !== "--keep");
  if (unknown !== undefined) {
    print(`Usage: deno task demo [--keep]\n`);
    return unknown === "--help" ? 0 : 64;
  }
  const interrupted = () => void Lab.down(LAB).finally(() => Deno.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, interrupted);
  let kept = false;
  try {
    await demonstrate(keep);
    kept = keep;
    return 0;
  } catch (error) {
    print(`\nThe demo failed: ${error instanceof Error ? error.message : error}\n`);
    return 1;
  } finally {
    if (!kept) await Lab.down(LAB);
  }
}

/** The whole script: first what any user can do, then the rest as root. */
async function script(): Promise<number> {
  try {
    await ensurePackages(LAB_PACKAGES, progress);
    return await throughSudo(import.meta.url) ?? await main(Deno.args);
  } catch (error) {
    print(`${error instanceof Error ? error.message : error}\n`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await script());
