import assert from "node:assert/strict";
import { DiskManagement, DiskProvisioning, Runstate } from "../../lib/model/enums.ts";
import { VirtxError } from "../../lib/model/error.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { FuseStorage } from "./support/fuse_storage.ts";
import { defineIdleGuest } from "./support/idle_guest.ts";
import { settled } from "./support/invariants.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

/** How many creates meet the hang unprepared; more than are carried out at a time. */
const CREATES = 60;
/** In which time a hang is known. */
const KNOWN_MS = 10_000;
/** What needs no storage takes milliseconds, and this on a machine that is busy; less than what the hang could cost. */
const PROMPT_MS = 5_000;

const SILENT = /storage \/vms has not (answered|finished a write) for \d+ s/;

interface Tracked {
  readonly id: string;
  readonly vm: string;
  readonly op: string;
  readonly state: string;
}

function create(daemon: LabDaemon, name: string): Promise<string> {
  const made = { man: DiskManagement.managed, prov: DiskProvisioning.thin, size: 16 };
  const osdisk = disk(`/vms/ds/${name}.qcow2`, made);
  return daemon.json<string>("POST", "/vms", { vmdef: { ...SMALL_VMDEF, name, osdisk }, host: "" });
}

async function readiness(daemon: LabDaemon): Promise<{ status: number; text: string }> {
  const response = await fetch(`${daemon.url}/readyz`);
  return { status: response.status, text: await response.text() };
}

async function promptly<T>(what: string, task: Promise<T>): Promise<T> {
  const began = performance.now();
  const outcome = await task;
  const ms = performance.now() - began;
  assert.ok(ms < PROMPT_MS, `${what} took ${Math.round(ms)} ms`);
  return outcome;
}

async function refusal(task: Promise<unknown>): Promise<VirtxError> {
  const error = await task.then(() => assert.fail("it was not refused"), (error) => error);
  assert.ok(error instanceof VirtxError, String(error));
  return error;
}

Deno.test("storage that hangs costs only what needs it, is told of, and when it answers nothing is lost or done twice", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using storage = await FuseStorage.mount(host);
  await using daemon = await LabDaemon.start(host);
  const idle = await defineIdleGuest(host);
  const stored = await create(daemon, "stored");
  await until("the idle guest to be known", () => daemon.runstate(idle).catch(() => undefined), 20_000);
  for (const uuid of [idle, stored]) await daemon.json("POST", `/vms/${uuid}/runstate/boot`);
  const off = await create(daemon, "off");

  const creates = Array.from(
    { length: CREATES },
    (_, n) =>
      create(daemon, `new${n}`).then(
        (uuid) => ({ uuid, error: undefined }),
        (error) => ({ uuid: "", error }),
      ),
  );
  await Promise.race(creates); // the others are at every step of it
  const hang = storage.hang();
  const began = performance.now();
  // It is not known yet, and already costs the others nothing.
  await promptly("a pause", daemon.json("POST", `/vms/${idle}/runstate/pause`));
  await promptly("a resume", daemon.json("DELETE", `/vms/${idle}/runstate/pause`));
  await promptly("a list", daemon.json("GET", "/vms"));
  await promptly("a look at a VM", daemon.json("GET", `/vms/${stored}`));

  const unready = await until("the hang to be known", async () => {
    const { status, text } = await readiness(daemon);
    return status === 503 && SILENT.test(text) ? text : undefined;
  }, 3 * KNOWN_MS);
  const knownMs = performance.now() - began;
  assert.ok(knownMs < 2 * KNOWN_MS, `known after ${Math.round(knownMs)} ms: ${unready}`);
  const outcomes = await Promise.all(creates);
  const created = outcomes.flatMap(({ uuid }) => uuid === "" ? [] : [uuid]);
  assert.ok(created.length > 0 && created.length < CREATES, `${created.length} VMs were created`);
  for (const { error } of outcomes) {
    if (error === undefined) continue;
    assert.ok(error instanceof VirtxError);
    assert.ok(error.kind === "unavailable" || error.kind === "timeout", error.message);
    assert.match(error.message, /storage "\/vms" has not (answered|finished a write) for \d+ s/);
  }

  for (
    const [what, attempt] of [
      ["a create", () => create(daemon, "late")],
      ["an update", () => daemon.json("PUT", `/vms/${off}`, { vmdef: SMALL_VMDEF, deletestorage: false })],
      ["a delete", () => daemon.json("DELETE", `/vms/${off}`, { deletestorage: true })],
      ["a boot from it", () => daemon.json("POST", `/vms/${off}/runstate/boot`)],
      [
        "a boot with cloud-init",
        () =>
          daemon.json("POST", `/vms/${off}/runstate/boot`, {
            cloud_init: [{ name: "ci-userdata", value: "#cloud-config\n" }],
          }),
      ],
    ] as const
  ) {
    const error = await promptly(what, refusal(attempt()));
    assert.equal(error.kind, "unavailable", `${what}: ${error.message}`);
    assert.match(error.message, /storage "\/vms" has not (answered|finished a write) for \d+ s/);
    assert.ok(error.retryAfterS !== undefined && error.retryAfterS > 0, what);
  }
  await promptly("a pause", daemon.json("POST", `/vms/${idle}/runstate/pause`));
  await promptly("a resume", daemon.json("DELETE", `/vms/${idle}/runstate/pause`));
  await promptly("a forced power-off", daemon.json("DELETE", `/vms/${idle}/runstate/boot`, { force: 2 }));
  // This one's QEMU hangs itself: libvirt sends it SIGTERM, and after 10 s SIGKILL.
  await daemon.json("DELETE", `/vms/${stored}/runstate/boot`, { force: 2 });
  assert.equal(await daemon.runstate(stored), Runstate.poweroff);
  // Nothing piles up: what had been begun waits, or stopped half-way, and its client was told; all else has ended.
  const { items: waiting } = await daemon.json<{ items: Tracked[] }>("GET", "/operations?state=running");
  const told = outcomes.filter(({ error }) =>
    error?.kind === "timeout" || /stopped half-way/.test(error?.message ?? "")
  );
  assert.ok(waiting.length <= told.length, `${waiting.length} operations run, ${told.length} were to`);

  hang[Symbol.dispose]();
  await daemon.ready();
  await until("all operations to have ended", async () => {
    const { items } = await daemon.json<{ items: Tracked[] }>("GET", "/operations?state=running");
    return items.length === 0 || undefined;
  }, 60_000);
  for (const { id } of waiting) {
    const { vm, state } = await daemon.json<Tracked>("GET", `/operations/${id}`);
    if (state === "completed") created.push(vm);
  }
  const later = await create(daemon, "later");
  await settled([{ host, api: daemon.url }], 30_000);
  const { items } = await daemon.json<{ items: { uuid: string; fields: { name: string } }[] }>("GET", "/vms");
  // Each is there that was said to be; beside them at most what stopped half-way, and was finished.
  const there = items.map(({ uuid }) => uuid);
  for (const uuid of [idle, stored, off, later, ...created]) assert.ok(there.includes(uuid), uuid);
  assert.equal(new Set(items.map(({ fields }) => fields.name)).size, items.length);
  const images = (await host.exec(["find", "/vms/ds", "-type", "f"])).trim().split("\n");
  assert.equal(images.length, items.length - 1, images.join(" "));
  const said = (text: string) => daemon.process.output.split(text).length - 1;
  assert.deepEqual([said("storage does not answer"), said("storage answers again")], [1, 1]);
});

Deno.test("on storage that hangs virtxd ends in time, and does not start, but says why", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using storage = await FuseStorage.mount(host);
  const args = ["--shutdown-timeout", "5s", "--log-format", "text"];
  await using daemon = await LabDaemon.start(host, { args });
  // A request that the FUSE server has taken, and not answered when it hangs, keeps the kernel from ending a process. So what
  // virtxd does with the storage at its start is to be over.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  {
    using _hang = storage.hang();
    const pending = create(daemon, "new").catch(() => {});
    await until("the create to wait for storage", async () => {
      const { items } = await daemon.json<{ items: Tracked[] }>("GET", "/operations?state=running");
      return items.length > 0 || undefined;
    }, 10_000);
    daemon.process.kill("SIGTERM");
    const ended = await until("virtxd to end", () => daemon.process.pid === undefined || undefined, 30_000);
    assert.ok(ended);
    await pending;

    await using other = await LabDaemon.launch(host, { args });
    const { code } = await other.process.status;
    assert.equal(code, 69, other.process.output);
    assert.match(other.process.output, /cannot start.*storage .*\/vms.* has not answered for \d+ s/);
  }
  await using again = await LabDaemon.start(host, { args });
  await settled([{ host, api: again.url }], 30_000);
  await create(again, "new");
});
