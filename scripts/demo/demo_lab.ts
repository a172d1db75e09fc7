import { guestImage } from "../guest/image.ts";
import type { LabHost } from "../lab/host.ts";
import { Lab } from "../lab/lab.ts";
import { until } from "../lab/until.ts";
import { ROOT } from "../paths.ts";
import { print, printedProgress as progress } from "../progress.ts";
import { Rest } from "./rest.ts";

/** The lab's name. */
export const LAB = "demo";
const HOSTS = 3;
const PORT = 8080;
const VIRTXD = "/usr/local/bin/virtxd";
/** HostState "active" of protocol.md §1. */
const ACTIVE = 1;

/** A host of the demo, and its API. */
export interface DemoHost {
  readonly host: LabHost;
  readonly rest: Rest;
}

/** Starts a new chapter. */
export function heading(text: string): void {
  print(`\n${text}\n`);
}

/** The executable and the guest's image, which take no privileges. */
export async function buildAll(): Promise<void> {
  await build();
  await guestImage(`${ROOT}/.lab/cache`, progress);
}

/**
 * Lets one demo at a time run on this machine; the kernel ends the lock with the process.
 * @returns undefined if another demo runs
 */
export async function lockDemo(): Promise<Disposable | undefined> {
  const file = await Deno.open("/run/lock/virtxd-demo", { write: true, create: true });
  if (await file.tryLock(true)) return file;
  file.close();
  return undefined;
}

/** The lab: virtxd lies on every host, and the guest's disk on the storage that they share. */
export async function prepare(): Promise<{ readonly lab: Lab; readonly hosts: readonly DemoHost[] }> {
  const image = await guestImage(`${ROOT}/.lab/cache`, progress);
  await progress.step(`Lab ${LAB}: end what an earlier demo kept`, () => Lab.down(LAB));
  const lab = await Lab.up({ name: LAB, hosts: HOSTS, progress });
  await progress.step("Copy virtxd and the guest's disk", async () => {
    await Promise.all(lab.hosts.map((host) => host.install(`${ROOT}/dist/virtxd`, VIRTXD)));
    await lab.host("virt1").install(image, "/vms/ds/web1.qcow2");
  });
  const hosts = lab.hosts.map((host) => ({ host, rest: new Rest(`http://${host.address}:${PORT}`, ROOT) }));
  return { lab, hosts };
}

/** The executable, by the script that `deno task build` runs. */
async function build(): Promise<void> {
  const args = ["run", "--allow-all", `${ROOT}/scripts/build.ts`];
  const { code } = await new Deno.Command(Deno.execPath(), { args, stdout: "inherit", stderr: "inherit" })
    .output();
  if (code !== 0) throw new Error(`The executable could not be built: scripts/build.ts ended with ${code}`);
}

/** Starts virtxd on a host, and waits until it is ready. */
export async function startVirtxd({ host, rest }: DemoHost): Promise<void> {
  await progress.step(`Start virtxd on ${host.name} and wait until it is ready`, async () => {
    // Emulation works everywhere; a /dev/kvm may be there that cannot run a guest.
    const flags = ["--listen", `0.0.0.0:${PORT}`, "--insecure", "--domain-type", "qemu"];
    await host.startDaemon("virtxd", [VIRTXD, ...flags]);
    await rest.ready(20_000);
  });
}

/** Waits until every host lists all hosts as active. */
export async function waitForAll(hosts: readonly DemoHost[]): Promise<void> {
  await progress.step(`All ${hosts.length} hosts know each other`, async () => {
    for (const { host, rest } of hosts) {
      await until(
        `${host.name} to list all hosts as active`,
        async () => {
          const { items } = await rest.get("/hosts") as { items: { fields: { cstate: number } }[] };
          return items.filter(({ fields }) => fields.cstate === ACTIVE).length === hosts.length || undefined;
        },
        60_000,
        100,
      );
    }
  });
}
