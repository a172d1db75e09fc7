import assert from "node:assert/strict";
import type { Command } from "../../lib/cli/command.ts";
import { allCommands } from "../../lib/cli/commands/table.ts";
import type { CommandOutput } from "../../scripts/command.ts";
import { CliHost } from "./support/cli_host.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

/** What has to be so before an example of a command is run: lines that may fail where it is so already; BOOT waits for the guest. */
const PREPARATIONS: Readonly<Record<string, readonly string[]>> = {
  "vm create": [
    "virtx vm delete -y -s -l name=web3",
    "virtx vm delete -y -s web2",
    "virtx vm delete -y -s web5",
  ],
  "vm import": [
    `echo "<domain type='qemu'><name>old1</name><memory>65536</memory><os><type>hvm</type></os></domain>" > old1.xml`,
  ],
  "vm update": ["virtx vm kill -y web2"],
  "vm edit": ["virtx vm kill -y web2"],
  "vm delete": ["virtx vm kill -y web2"],
  "vm register": ["virtx vm migrate web1 --host virt1"],
  "vm start": ["virtx vm kill -y web1", "virtx vm kill -y web2"],
  "vm stop": ["virtx vm kill -y web1", "virtx vm kill -y web2", "BOOT web1", "BOOT web2"],
  "vm restart": ["virtx vm kill -y web1", "BOOT web1"],
  "vm kill": ["virtx vm start web1"],
  "vm pause": ["virtx vm start web1", "virtx vm resume web1"],
  "vm resume": ["virtx vm start web1", "virtx vm pause web1"],
  "vm migrate": ["virtx vm start web1", "virtx vm resume web1", "virtx vm migrate web1 --host virt1"],
  "vm wait": ["virtx vm start web1", "virtx vm resume web1"],
  "trash list": ["virtx trash empty --all -y"],
  "trash restore": ["virtx vm kill -y web2", "virtx vm delete -y -s web2"],
  "trash empty": ["virtx vm delete -y -s web2"],
  "operation wait": ["virtx vm kill -y web1"],
  "operation cancel": [
    "virtx vm kill -y web1",
    "virtx vm migrate web1 --host virt1",
    "BOOT web1",
    "virtx vm migrate web1 --host virt2 --bandwidth 2MiB --no-wait",
  ],
};

/** Commands that go on until they are ended, or ask: what is added to their examples. */
const ENDINGS: Readonly<Record<string, string>> = {
  "vm watch": " --timeout 2s",
  "host top": " --once",
};

/** Commands that other tests run: at a terminal (console_test.ts), or of a host that is gone (gone_hosts_test.ts). */
const ELSEWHERE: ReadonlySet<string> = new Set(["vm console", "host remove"]);

/** While the machine that all hosts share is busy, none is a good target for a VM: then later. */
async function patiently(run: () => Promise<CommandOutput>): Promise<CommandOutput> {
  for (let n = 0; n < 30; n++) {
    const output = await run();
    if (!/its load would be/.test(output.stdout + output.stderr)) return output;
    await new Promise((resolve) => setTimeout(resolve, 3_000));
  }
  return await run();
}

Deno.test("every example works as it stands, from top to bottom", async (t) => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const desk = await CliHost.set(cluster);
  const guests: Record<string, string> = { web1: await desk.createGuest("web1") };
  await desk.createGuest("db1");

  const run = async (command: Command) => {
    const path = command.path.join(" ");
    for (const example of command.examples) {
      for (const line of PREPARATIONS[path] ?? []) {
        const [first, name = ""] = line.split(" ");
        if (first === "BOOT") await desk.boot(guests[name] ?? "");
        else await desk.sh(line);
      }
      const line = example.command.replace("EDITOR=nano", "EDITOR=true") + (ENDINGS[path] ?? "");
      const { code, stdout, stderr } = await patiently(() => desk.sh(`set -o pipefail\n${line}`));
      assert.equal(code, 0, `${line}: exit code ${code}\n${stderr}${stdout}`);
      assert.ok(!(stdout + stderr).includes("\x1b"), `${line} paints on a pipe`);
    }
  };

  for (const command of allCommands()) {
    const path = command.path.join(" ");
    if (ELSEWHERE.has(path)) continue;
    if (path === "man" && (await desk.sh("command -v man")).code !== 0) continue;
    await t.step(path, async () => {
      await run(command);
      // From here on web2 is a guest that listens, as the examples have it.
      if (path === "vm create" || path === "vm delete" || path === "trash empty") {
        await desk.sh("virtx vm delete -y -s web2");
        await desk.sh("virtx vm delete -y -s web5");
        guests.web2 = await desk.createGuest("web2");
      }
    });
  }
});
