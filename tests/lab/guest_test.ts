import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { guestImage } from "../../scripts/guest/image.ts";
import { until } from "../../scripts/lab/until.ts";
import { silentProgress } from "../../scripts/progress.ts";
import { GuestConsole } from "../../scripts/lab/guest_console.ts";
import { startPlainGuest } from "./support/plain_guest.ts";
import { TestLab } from "./support/test_lab.ts";

const CACHE = fileURLToPath(new URL("../../.lab/cache", import.meta.url));

for (const firmware of ["bios", "uefi"] as const) {
  Deno.test(`the guest boots from its disk under ${firmware}, dirties memory, and obeys the power button`, async () => {
    const image = await guestImage(CACHE, silentProgress);
    await using lab = await TestLab.up({ hosts: 1 });
    const host = lab.host();
    await host.install(image, "/vms/ds/guest.qcow2");
    const domain = await startPlainGuest(host, { firmware, disk: "/vms/ds/guest.qcow2" });
    await using terminal = await GuestConsole.open(host, domain);
    assert.equal(await terminal.up(), "guest");

    await terminal.send("dirty 32 10");
    await terminal.expect(/guest dirty: 32 MiB at 10 MiB\/s/);
    const written = async () => {
      await terminal.send("status");
      return Number((await terminal.expect(/ (\d+) MiB written/))[1]);
    };
    await until(
      "the guest to write all of it once",
      async () => await written() > 32 || undefined,
      20_000,
      500,
    );

    await host.exec(["virsh", "shutdown", domain]);
    await terminal.expect(/guest down: power button/);
    await until(
      "the guest to be off",
      async () => {
        return (await host.exec(["virsh", "domstate", domain])).trim() === "shut off" || undefined;
      },
      20_000,
      100,
    );
  });
}
