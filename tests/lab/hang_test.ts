import assert from "node:assert/strict";
import { dial } from "../../lib/cli/console/dial.ts";
import { DiskManagement, DiskProvisioning, Runstate } from "../../lib/model/enums.ts";
import { VirtxError } from "../../lib/model/error.ts";
import type { Vm } from "../../lib/model/vm.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { until } from "../../scripts/lab/until.ts";
import { refusal } from "../support/libvirt_connections.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { defineIdleGuest } from "./support/idle_guest.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

/** Deadlines of the behaviour, with a generous margin: a call that hangs is not waited for, a destroy takes libvirt 10 s. */
const PROMPT_MS = 15_000, DESTROY_MS = 25_000;

/** libvirtd 9.0 was dead after 500 to 1,400 when each took the console by libvirt's force. */
const OPENINGS = Deno.env.has("VIRTX_TEST_LONG") ? 6_000 : 600;
const NEW_DISK = { man: DiskManagement.managed, prov: DiskProvisioning.thin, size: 16 };

interface Readiness {
  readonly degraded?: readonly string[];
}

async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what} took more than ${ms / 1000} s`)), ms);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function qemuOf(host: LabHost, uuid: string): Promise<string> {
  return (await host.exec(["cat", `/run/libvirt/qemu/${uuid}.pid`])).trim();
}

/** Makes a guest's QEMU hang, as one does whose storage is gone. */
async function hang(host: LabHost, uuid: string): Promise<void> {
  await host.exec(["kill", "-STOP", await qemuOf(host, uuid)]);
}

async function runningGuests(host: LabHost, count: number): Promise<string[]> {
  const uuids: string[] = [];
  for (let number = 0; number < count; number++) {
    const uuid = await defineIdleGuest(host);
    await host.exec(["virsh", "start", uuid]);
    uuids.push(uuid);
  }
  return uuids;
}

/** An operation that is to be cut off; how it fails. */
function beginPause(daemon: LabDaemon, uuid: string): Promise<VirtxError> {
  return refusal(
    daemon.api.request("POST", `/vms/${uuid}/runstate/pause`, undefined, { timeoutMs: 120_000 }),
  );
}

/** How many connections to libvirtd are open, and how many threads virtxd has. */
async function usage({ host, process }: LabDaemon): Promise<{ connections: number; threads: number }> {
  const sockets = (await host.exec(["ss", "--unix", "--no-header", "state", "connected"])).split("\n");
  const status = await Deno.readTextFile(`/proc/${process.pid}/status`);
  return {
    connections: sockets.filter((line) => line.includes("libvirt-sock")).length,
    threads: Number(/Threads:\s+(\d+)/.exec(status)?.[1]),
  };
}

async function degraded(daemon: LabDaemon): Promise<readonly string[]> {
  return (await daemon.json<Readiness>("GET", "/readyz")).degraded ?? [];
}

async function powerOff(daemon: LabDaemon, uuid: string, force = 2): Promise<void> {
  await daemon.json("DELETE", `/vms/${uuid}/runstate/boot`, { force });
}

Deno.test("guests that hang cost others nothing, are told at /readyz, and powered off as fast as libvirt can", async (t) => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  const [healthy = "", ...others] = await runningGuests(host, 13);
  await using daemon = await LabDaemon.start(host, { args: ["--sample-interval", "2s"] });
  const pauses: Promise<VirtxError>[] = [];

  for (const count of [4, 12]) {
    await t.step(`with ${count} that hang, all that is done with a healthy VM is done promptly`, async () => {
      for (const uuid of others.slice(pauses.length, count)) {
        await hang(host, uuid);
        pauses.push(beginPause(daemon, uuid));
      }
      const prompt = (what: string, method: string, path: string, body?: unknown) =>
        within(PROMPT_MS, what, daemon.api.request(method, path, body, { timeoutMs: 2 * PROMPT_MS }));
      await prompt("a pause", "POST", `/vms/${healthy}/runstate/pause`);
      await prompt("a resumption", "DELETE", `/vms/${healthy}/runstate/pause`);
      const vmdef = {
        ...SMALL_VMDEF,
        name: `new${count}`,
        osdisk: disk(`/vms/ds/new${count}.qcow2`, NEW_DISK),
      };
      await prompt("a creation", "POST", "/vms", { vmdef, host: "" });
      await prompt("a list", "GET", "/vms");
      await prompt("a power-off", "DELETE", `/vms/${healthy}/runstate/boot`, { force: 2 });
      await prompt("a boot", "POST", `/vms/${healthy}/runstate/boot`);
    });
  }

  await t.step(
    "each is told at /readyz, which stays ready; what is known of it is told at once",
    async () => {
      const hung = await until("twelve to be told", async () => {
        const told = await degraded(daemon);
        return told.length === 12 ? told : undefined;
      }, 60_000);
      for (const reason of hung) assert.match(reason, /^libvirt does not answer about VM "idle"/);
      const vm = await within(PROMPT_MS, "a look", daemon.json<Vm>("GET", `/vms/${others[0]}`));
      assert.equal(vm.runinfo.runstate, Runstate.running);
    },
  );

  await t.step("what would wait behind a call that hangs is refused at once", async () => {
    const error = await within(PROMPT_MS, "a refusal", beginPause(daemon, others[11] ?? ""));
    assert.equal(error.kind, "unavailable");
    assert.match(
      error.message,
      /^Cannot pause VM "idle": libvirt has not answered about VM "idle" for \d+ s/,
    );
  });

  await t.step("connections and threads stay few", async () => {
    const { connections, threads } = await usage(daemon);
    assert.ok(connections <= 24, `${connections} connections`);
    assert.ok(threads <= 48, `${threads} threads`);
  });

  await t.step(
    "a power-off by force takes as long as libvirt's, and fails what is under way, saying so",
    async () => {
      const [first = ""] = others;
      await within(DESTROY_MS, "a power-off", powerOff(daemon, first));
      assert.equal(await daemon.runstate(first), Runstate.poweroff);
      assert.match(await host.exec(["virsh", "domstate", first]), /shut off/);
      await Promise.all(others.slice(1).map((uuid) => powerOff(daemon, uuid)));
      for (const error of await Promise.all(pauses)) {
        assert.match(error.message, /powered off by force meanwhile$|did not answer for 40 s$/);
      }
      await until("all to be well", async () => (await degraded(daemon)).length === 0 || undefined, 30_000);
      for (const uuid of others) await daemon.until(uuid, Runstate.poweroff);
      await within(PROMPT_MS, "a boot", daemon.json("POST", `/vms/${first}/runstate/boot`));
      const { connections } = await usage(daemon);
      assert.ok(connections <= 5, `${connections} connections at rest`);
    },
  );

  await t.step("virtxd ends in time although libvirt does not answer, and starts again", async () => {
    const [first = ""] = others;
    await hang(host, first);
    const pause = beginPause(daemon, first);
    await until("the pause to be under way", async () => {
      const operations = await daemon.json("GET", `/operations?vm=${first}&state=running`);
      return JSON.stringify(operations).includes("VmPause") || undefined;
    }, 10_000);
    daemon.process.kill("SIGTERM");
    await within(45_000, "the end", daemon.process.status);
    await pause;
    await hang(host, healthy);
    await using again = await LabDaemon.start(host);
    assert.equal(await again.runstate(healthy), Runstate.running);
    await within(DESTROY_MS, "a power-off", powerOff(again, healthy));
  });
});

Deno.test("clients who take a VM's console from each other, over and over, do libvirtd no harm", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  const [vm = ""] = await runningGuests(host, 1);
  await using daemon = await LabDaemon.start(host);
  const libvirtd = await host.exec(["cat", "/run/libvirtd.pid"]);
  let openings = 0;
  const taker = async () => {
    while (openings < OPENINGS) {
      openings++;
      const { signal } = new AbortController();
      const line = await dial({ endpoints: [daemon.url], uuid: vm, force: true, headers: {}, signal });
      line.close();
      await line.ended;
    }
  };
  await Promise.all([taker(), taker(), taker()]);
  assert.match(await host.exec(["virsh", "domstate", vm]), /running/);
  assert.equal(await host.exec(["cat", "/run/libvirtd.pid"]), libvirtd);
  assert.doesNotMatch(daemon.process.output, /libvirt is away/);
  await until("all connections of consoles to be closed", async () => {
    const { connections } = await usage(daemon);
    return connections <= 5 || undefined;
  }, 30_000);
});

Deno.test("libvirtd that stands still is noticed, answered for in bounded time, and used again when it goes on", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  const [vm = ""] = await runningGuests(host, 1);
  await using daemon = await LabDaemon.start(host, { args: ["--sample-interval", "2s"] });
  const before = await usage(daemon);
  const libvirtd = (await host.exec(["cat", "/run/libvirtd.pid"])).trim();
  await host.exec(["kill", "-STOP", libvirtd]);
  try {
    const asked = ["pause", "pause", "pause"].map((what) =>
      within(
        70_000,
        "an answer",
        refusal(daemon.api.request("POST", `/vms/${vm}/runstate/${what}`, undefined, {
          timeoutMs: 100_000,
        })),
      )
    );
    const ending = within(70_000, "an answer", refusal(powerOff(daemon, vm)));
    for (const error of await Promise.all([...asked, ending])) {
      assert.ok(error.kind === "unavailable" || error.kind === "timeout", error.message);
    }
    await until("/readyz to say so", async () => {
      const { status, body } = await fetch(`${daemon.url}/readyz`).then(async (answer) => ({
        status: answer.status,
        body: await answer.text(),
      }));
      return status === 503 && body.includes("libvirt is away") || undefined;
    }, 60_000);
    const known = await within(PROMPT_MS, "a look", daemon.json<Vm>("GET", `/vms/${vm}`));
    assert.equal(known.def.name, "idle");
  } finally {
    await host.exec(["kill", "-CONT", libvirtd]);
  }
  await daemon.ready(60_000);
  // A request that was under way may have taken effect, or not
  await until("the VM to be as it was", async () => {
    const runstate = await daemon.runstate(vm);
    if (runstate === Runstate.running) return true;
    const [method, path] = runstate === Runstate.paused ? ["DELETE", "pause"] : ["POST", "boot"];
    await daemon.api.request(method, `/vms/${vm}/runstate/${path}`).catch(() => {});
    return undefined;
  }, 60_000);
  await until("as many connections and threads as before", async () => {
    const { connections, threads } = await usage(daemon);
    return connections <= Math.max(5, before.connections) && threads <= before.threads + 12 || undefined;
  }, 60_000);
});

/** Has another tool wait for a guest that hangs, and libvirt with it; resolves to the end of that when it has begun. */
async function keepBusy(host: LabHost, vm: string): Promise<{ readonly ended: Promise<unknown> }> {
  await hang(host, vm);
  const ended = host.run(["virsh", "suspend", vm]); // as any command of virsh that needs the guest's QEMU
  await until("libvirt to be busy with it", async () => {
    const { stdout } = await host.run(["virsh", "domcontrol", vm]); // which takes no job of its own
    return stdout.startsWith("occupied") || undefined;
  }, 20_000);
  return { ended };
}

Deno.test("a VM that another tool keeps busy is told as that, soon; it is powered off all the same", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  const [vm = "", other = ""] = await runningGuests(host, 2);
  await using daemon = await LabDaemon.start(host);
  const held = await keepBusy(host, vm);
  const error = await within(60_000, "an answer", beginPause(daemon, vm));
  assert.match(error.message, /held by monitor=remoteDispatch|has not answered about VM "idle"/);
  await within(PROMPT_MS, "a pause", daemon.json("POST", `/vms/${other}/runstate/pause`));
  await within(DESTROY_MS, "a power-off", powerOff(daemon, vm));
  await held.ended;
});

Deno.test("virtxd starts while another tool waits for guests that hang, shows them, and learns the rest when they go on", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  const [other = "", ...hung] = await runningGuests(host, 5);
  const held = await Promise.all(hung.map((vm) => keepBusy(host, vm)));
  await using daemon = await LabDaemon.start(host, { args: ["--sample-interval", "2s"] });
  const recorded = (vm: string) => host.run(["sh", "-c", `cat /vms/xml/*/${vm}.xml`]);
  for (const vm of hung) {
    const { def, runinfo } = await within(PROMPT_MS, "a look", daemon.json<Vm>("GET", `/vms/${vm}`));
    assert.deepEqual([def.name, def.memory.total, runinfo.runstate], ["idle", 64, Runstate.running]);
    const error = await within(60_000, "a refusal", beginPause(daemon, vm));
    assert.match(error.message, /^Cannot .*held by monitor=remoteDispatch|^Cannot pause .* has not answered/);
    assert.match((await recorded(vm)).stdout, /^(<domain [^]*<title>idle<\/title>[^]*)?$/);
  }
  await within(PROMPT_MS, "a pause", daemon.json("POST", `/vms/${other}/runstate/pause`));
  const vmdef = { ...SMALL_VMDEF, name: "new", osdisk: disk("/vms/ds/new.qcow2", NEW_DISK) };
  await within(PROMPT_MS, "a creation", daemon.json("POST", "/vms", { vmdef, host: "" }));
  const [killed = "", ...others] = hung;
  await within(DESTROY_MS, "a power-off", powerOff(daemon, killed));
  for (const vm of others) await host.exec(["kill", "-CONT", await qemuOf(host, vm)]);
  await Promise.all(held.map(({ ended }) => ended));
  for (const vm of hung) {
    await until("its definition to be on record", async () => {
      return /<title>idle<\/title>/.test((await recorded(vm)).stdout) || undefined;
    }, 30_000);
  }
  for (const vm of others) await daemon.until(vm, Runstate.paused);
});
