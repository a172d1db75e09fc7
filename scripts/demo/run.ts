/**
 * What `deno task demo` shows, run as root once all is built: a lab of three hosts, and what a cluster does by REST.
 */
import { type Cast, createAndBoot, killAndHeal, lookAround, migrate, shutDownAndDelete } from "./chapters.ts";
import { inBackground } from "../../lib/model/background.ts";
import { Lab } from "../lab/lab.ts";
import { fallSilent, print, seconds } from "../progress.ts";
import { heading, LAB, lockDemo, prepare, startVirtxd, waitForAll } from "./demo_lab.ts";

function keepNotes({ three: { rest } }: Cast, uuid: string): void {
  const shutdown = rest.curl({ method: "DELETE", path: `/vms/${uuid}/runstate/boot`, body: '{"force":0}' });
  const remove = rest.curl({ method: "DELETE", path: `/vms/${uuid}`, body: '{"deletestorage":true}' });
  heading("The lab stays. From this machine, in this directory:");
  print(`  the API, with its documentation   ${rest.url}/docs\n`);
  print(`  all VMs                           ${rest.curl({ method: "GET", path: "/vms" })}\n`);
  print(`  shut the VM down                  ${shutdown}\n`);
  print(`  delete it                         ${remove}\n`);
  print(`  a command on a host               deno task lab exec --name ${LAB} virt2 virsh list\n`);
  print(`  its logs                          deno task lab logs --name ${LAB} virt2\n`);
  print(`  end everything                    deno task lab down --name ${LAB}\n`);
}

async function demonstrate(keep: boolean): Promise<void> {
  const { lab, hosts } = await prepare();
  const prepared = performance.now();
  try {
    heading("virtxd on three hosts");
    await Promise.all(hosts.map(startVirtxd));
    await waitForAll(hosts);
    const [one, two, three] = hosts;
    if (!one || !two || !three) throw new Error("The demo needs three hosts");
    const cast: Cast = { lab, one, two, three };
    const uuid = await createAndBoot(cast);
    await lookAround(cast, uuid);
    await migrate(cast, uuid);
    await killAndHeal(cast, uuid);
    if (keep) return keepNotes(cast, uuid);
    await shutDownAndDelete(cast, uuid);
    heading(
      "Done: a VM was created, seen from everywhere, moved while it ran, lost with its host, found again and deleted in " +
        `${seconds(performance.now() - prepared)}.`,
    );
  } catch (error) {
    for (const { host } of hosts) print(`\n${await lastLines(`${host.disk}/var/log/virtxd.log`)}\n`);
    throw error;
  }
}

/** The end of a log, of a host that may be down by now. */
async function lastLines(path: string): Promise<string> {
  const text = await Deno.readTextFile(path).catch(() => ""); // It may never have been started.
  return text.split("\n").slice(-30).join("\n");
}

/** Runs the demonstration, and ends the lab in whatever way it goes. */
async function main(keep: boolean): Promise<number> {
  using lock = await lockDemo();
  if (lock === undefined) {
    print(
      `\nAnother demo is running on this machine; this one would end its lab. Try again when it is over.\n`,
    );
    return 75; // EX_TEMPFAIL
  }
  let kept = false;
  let interrupted = false;
  const interrupt = () => {
    if (interrupted) return;
    interrupted = true;
    print("\nInterrupted: the lab ends.\n");
    fallSilent();
    inBackground(Lab.down(LAB).finally(() => Deno.exit(130)));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, interrupt);
  try {
    await demonstrate(keep);
    kept = keep;
    return 0;
  } catch (error) {
    print(`\nThe demo failed: ${error instanceof Error ? error.message : error}\n`);
    return interrupted ? 130 : 1;
  } finally {
    if (!kept) await Lab.down(LAB);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args.includes("--keep")));
