import assert from "node:assert/strict";
import { DiskManagement, DiskProvisioning } from "../../lib/model/enums.ts";
import type { Vmdef } from "../../lib/model/vm.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

const managed = { man: DiskManagement.managed, prov: DiskProvisioning.thin, size: 8 };
const OLD: Vmdef = {
  ...SMALL_VMDEF,
  name: "old",
  osdisk: disk("/vms/ds/os.qcow2", managed),
  disks: [disk("/vms/ds/old/data.raw", managed)],
};
const NEW: Vmdef = { ...OLD, name: "new", disks: [disk("/vms/ds/new/data.raw", managed)] };

/** What a change may leave behind: titles of domains and of registry files, and files below /vms, journal included, but not the trash. */
interface State {
  readonly domains: readonly string[];
  readonly registry: readonly string[];
  readonly files: readonly string[];
  /** Disks that are recorded as a VM's. */
  readonly owned: readonly string[];
}

const NOTHING: State = { domains: [], registry: [], files: [], owned: [] };
/** Where, below /vms, it is recorded whose things are. */
const RECORDS = ".virtxd/";
const OLD_FILES = ["ds/old/data.raw", "ds/os.qcow2"];
const NEW_FILES = ["ds/new/data.raw", "ds/os.qcow2"];
const WITH_OLD: State = { domains: ["old"], registry: ["old"], files: OLD_FILES, owned: OLD_FILES };
const WITH_NEW: State = { domains: ["new"], registry: ["new"], files: NEW_FILES, owned: NEW_FILES };

interface Change {
  readonly name: "create" | "update" | "delete";
  readonly before: State;
  readonly after: State;
  /** Every point at which the daemon is killed, up to the decision and after it. */
  readonly undecided: readonly string[];
  readonly decided: readonly string[];
}

/** The steps that create and update have in common; the second writing of the journal is the decision. */
const TAKING = ["disks.written", "disks.linked", "disks.decided", "disks.replaced"];
const PREPARING = [
  "journal.renamed",
  "prepared",
  ...TAKING,
  "taken",
  "storage.reserved",
  "storage.created",
  "storage.linked",
];
const DEFINING = [
  "provisioned",
  "defined",
  "registry.written",
  "registry.renamed",
  "registered",
  "journal.written:2",
];

const CHANGES: readonly Change[] = [
  {
    name: "create",
    before: NOTHING,
    after: WITH_OLD,
    undecided: ["journal.written", ...PREPARING, "storage.linked:2", ...DEFINING],
    decided: [
      "journal.renamed:2",
      "committed",
      "storage.committed",
      "storage.committed:2",
      "kept",
      "journal.removed",
    ],
  },
  {
    name: "update",
    before: WITH_OLD,
    after: WITH_NEW,
    undecided: ["journal.written", ...PREPARING, ...DEFINING],
    decided: [
      "journal.renamed:2",
      "committed",
      "storage.committed",
      "kept",
      ...["trash.recorded", "trash.renamed", "trash.moved", "deleted", "released"],
      "journal.removed",
    ],
  },
  {
    name: "delete",
    before: WITH_OLD,
    after: NOTHING,
    undecided: ["journal.written"],
    decided: [
      ...["journal.renamed", "committed", "undefined", "registry.removed", "unregistered", "kept"],
      ...["trash.recorded", "trash.renamed", "trash.moved", "trash.renamed:2", "trash.moved:2"],
      ...["deleted", "released", "journal.removed"],
    ],
  },
];

/** Points of the recovery of a creation, at which the daemon is killed once more. */
const RECOVERY = [
  "create.reverted",
  "storage.unlinked",
  "storage.undone",
  "storage.undone:2",
  "journal.removed",
];

async function stateOf(host: LabHost): Promise<State> {
  const titles = (text: string) =>
    [...text.matchAll(/<title>(.*?)<\/title>/g)].map(([, title]) => title ?? "");
  const uuids = (await host.exec(["virsh", "list", "--all", "--uuid"])).trim().split(/\s+/).filter(Boolean);
  const xmls = await Promise.all(uuids.map((uuid) => host.exec(["virsh", "dumpxml", "--inactive", uuid])));
  const files =
    (await host.exec(["find", "/vms", "-name", ".virtxd", "-prune", "-o", "-type", "f", "-printf", "%P\\n"]))
      .trim().split("\n").sort();
  const registry = files.filter((name) => /^xml\/[^.]*\/[^.]*\.xml$/.test(name));
  const registered = await Promise.all(registry.map((name) => host.exec(["cat", `/vms/${name}`])));
  return {
    domains: xmls.flatMap(titles),
    registry: registered.flatMap(titles),
    files: files.filter((name) => name !== "" && !registry.includes(name)),
    owned: await ownedOn(host),
  };
}

async function ownedOn(host: LabHost): Promise<string[]> {
  const { stdout } = await host.run(["find", `/vms/${RECORDS}disks`, "-name", "*.json", "-printf", "%P\\n"]);
  const current = new Map<string, number>();
  for (const name of stdout.split("\n")) {
    const [, key = "", generation] = /^(.*)\/(\d+)\.json$/.exec(name) ?? [];
    if (generation !== undefined) current.set(key, Math.max(current.get(key) ?? 0, Number(generation)));
  }
  const paths = await Promise.all(Array.from(current, async ([key, generation]) => {
    const { value } = JSON.parse(await host.exec(["cat", `/vms/${RECORDS}disks/${key}/${generation}.json`]));
    return value === null ? [] : [String(value.path).replace("/vms/", "")];
  }));
  return paths.flat().sort();
}

async function killAt(
  host: LabHost,
  point: string,
  act: (daemon: LabDaemon) => Promise<unknown>,
): Promise<void> {
  await using daemon = await LabDaemon.launch(host, { env: { VIRTX_TEST_STOP_AT: point } });
  const request = act(daemon).then(() => "answered", () => "failed");
  await until(`the daemon to halt at ${point}`, async () => {
    if (daemon.process.output.includes("halted at a fault point")) return true;
    const early = await Promise.race([request, new Promise<void>((resolve) => setTimeout(resolve, 10))]);
    assert.equal(early, undefined, `${point} was not reached:\n${daemon.process.output}`);
  }, 20_000);
  daemon.process.kill("SIGKILL");
  await daemon.process.status;
  await request;
}

/** Brings the host to the state before a change, without faults. */
async function prepare(host: LabHost, state: State): Promise<string | undefined> {
  await using daemon = await LabDaemon.start(host);
  const { items } = await daemon.json<{ items: { uuid: string }[] }>("GET", "/vms");
  for (const { uuid } of items) await daemon.json("DELETE", `/vms/${uuid}`, { deletestorage: true });
  await host.exec(["rm", "-rf", "/vms/ds/old", "/vms/ds/new"]);
  const uuid = state === NOTHING
    ? undefined
    : await daemon.json<string>("POST", "/vms", { vmdef: OLD, host: "" });
  assert.deepEqual(await stateOf(host), state);
  return uuid;
}

function act(change: Change, uuid = ""): (daemon: LabDaemon) => Promise<unknown> {
  return async (daemon) => {
    await daemon.ready();
    if (change.name === "create") return await daemon.json("POST", "/vms", { vmdef: OLD, host: "" });
    if (change.name === "delete") return await daemon.json("DELETE", `/vms/${uuid}`, { deletestorage: true });
    return await daemon.json("PUT", `/vms/${uuid}`, { vmdef: NEW, deletestorage: true });
  };
}

for (const change of CHANGES) {
  Deno.test(`${change.name}: killed at any step, the daemon finds back to the state before or after it`, async (t) => {
    await using lab = await TestLab.up({ hosts: 1 });
    const host = lab.host();
    for (const point of [...change.undecided, ...change.decided]) {
      const expected = change.undecided.includes(point) ? change.before : change.after;
      await t.step(`${point}: ${expected === change.before ? "before" : "after"}`, async () => {
        const uuid = await prepare(host, change.before);
        await killAt(host, point.includes(".") ? point : `${change.name}.${point}`, act(change, uuid));
        await using _daemon = await LabDaemon.start(host);
        assert.deepEqual(await stateOf(host), expected);
      });
    }
  });
}

Deno.test("killed again at any step of the recovery, the daemon finds back all the same", async (t) => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  const [create] = CHANGES;
  assert.ok(create);
  for (const point of RECOVERY) {
    await t.step(point, async () => {
      await prepare(host, NOTHING);
      await killAt(host, "create.registered", act(create));
      await killAt(host, point, (daemon) => daemon.process.status);
      await using _daemon = await LabDaemon.start(host);
      assert.deepEqual(await stateOf(host), NOTHING);
    });
  }
});
