import assert from "node:assert/strict";
import { VirtxError } from "../../../lib/model/error.ts";
import type { Vmdef } from "../../../lib/model/vm.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { VmHost } from "../../support/vm_host.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const PASSWORD = "s3cret-vnc";
const WEB: Vmdef = { ...SMALL_VMDEF, name: "web", osdisk: diskAt("/vms/ds/os.raw", { size: 4 }) };
const AFTER: Vmdef = { ...WEB, name: "after", disks: [diskAt("/vms/ds/new.raw", { size: 4 })] };

/** A host with a VM whose screen has a password; where a change stops is `stopAt`. */
class LockedVm implements AsyncDisposable {
  stopAt = new Set<string>();

  private constructor(readonly resources: AsyncDisposableStack, public host: VmHost, public uuid: string) {}

  static async start(): Promise<LockedVm> {
    await using resources = new AsyncDisposableStack();
    const self: { it?: LockedVm } = {};
    const host = resources.use(
      await VmHost.start((point) => {
        if (self.it?.stopAt.delete(point)) throw new VirtxError("storage", `injected at ${point}`);
      }),
    );
    const uuid = await host.vms.create({ vmdef: WEB, host: "" });
    const { hypervisor } = host.host;
    const xml = await hypervisor.definition(uuid);
    const open = /<graphics [^>]*\/?>/.exec(xml)?.[0];
    const screen = `<graphics type='vnc' port='-1' passwd='${PASSWORD}'>`;
    await hypervisor.define(
      open === undefined
        ? xml.replace("</devices>", `${screen.replace(/>$/, "/>")}</devices>`)
        : xml.replace(open, open.endsWith("/>") ? screen.replace(/>$/, "/>") : screen),
    );
    await host.host.monitor.refresh(uuid);
    await host.vms.register(uuid);
    return self.it = new LockedVm(resources.move(), host, uuid);
  }

  /** What libvirt has. */
  async secret(): Promise<string> {
    return await this.host.host.hypervisor.definitionWithSecrets(this.uuid);
  }

  async update(): Promise<unknown> {
    const update = this.host.vms.update(this.uuid, { vmdef: AFTER, deletestorage: false });
    return await update.then(() => undefined, (error) => error);
  }

  async kept(): Promise<string[]> {
    const names = [];
    for await (const { name } of Deno.readDir(this.host.secrets.directory)) names.push(name);
    return names;
  }

  /** All text below the shared storage. */
  async shared(): Promise<string> {
    const { stdout } = await new Deno.Command("grep", { args: ["-r", "", this.host.shared.tree.root] })
      .output();
    return new TextDecoder().decode(stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}

Deno.test("an update keeps passwords, which are never on shared storage, and on this host for root alone", async () => {
  await using vm = await LockedVm.start();
  const before = (await vm.secret()).split("\n");
  assert.equal(await vm.update(), undefined);
  const after = (await vm.secret()).split("\n");
  const gone = before.filter((line) => !after.includes(line));
  assert.deepEqual(gone.filter((line) => !/title|description|iothreads/.test(line)), []);
  assert.match(after.join("\n"), new RegExp(`passwd='${PASSWORD}'`));
  assert.doesNotMatch(await vm.shared(), new RegExp(PASSWORD));
  assert.match(await vm.host.registry.read(vm.uuid) ?? "", /passwdValidTo="1970/);
  assert.deepEqual(await vm.kept(), []);
  const { mode } = await Deno.stat(vm.host.secrets.directory);
  assert.equal((mode ?? 0) & 0o777, 0o700);
});

for (const step of ["prepared", "provisioned", "defined", "registered"]) {
  Deno.test(`an update that stops when ${step}, and whose undoing does, brings the passwords back later`, async () => {
    await using vm = await LockedVm.start();
    const [before, state] = [await vm.secret(), await vm.host.state()];
    vm.stopAt = new Set([`update.${step}`, "update.reverted"]);
    assert.match(String(await vm.update()), /stopped half-way/);
    const [name, ...more] = await vm.kept();
    assert.deepEqual(more, []);
    const { mode } = await Deno.stat(`${vm.host.secrets.directory}/${name}`);
    assert.equal((mode ?? 0) & 0o777, 0o600);
    assert.doesNotMatch(await vm.shared(), new RegExp(PASSWORD));
    await vm.host.vms.recover();
    assert.equal(await vm.secret(), before);
    assert.deepEqual(await vm.host.state(), state);
    assert.deepEqual(await vm.kept(), []);
  });
}

Deno.test("what was to be undone and has lost its passwords stays as libvirt has it", async () => {
  await using vm = await LockedVm.start();
  vm.stopAt = new Set(["update.registered", "update.reverted"]);
  await vm.update();
  // As if the daemon had ended before it undid anything.
  const [change] = await vm.host.journal.list();
  assert.ok(change?.newXml !== undefined);
  const secret = await vm.host.secrets.read(change.id);
  assert.ok(secret);
  await vm.host.host.hypervisor.define(secret.newXml);
  await Deno.remove(vm.host.secrets.directory, { recursive: true });
  await vm.host.vms.recover();
  assert.match(await vm.secret(), new RegExp(`<title>after</title>[^]*passwd='${PASSWORD}'`));
  assert.deepEqual(await vm.host.journal.list(), []);
});

Deno.test("a reinstalled host defines what it had half done with a screen that lets nobody in", async () => {
  await using vm = await LockedVm.start();
  vm.stopAt = new Set(["update.registered", "update.reverted"]);
  await vm.update();
  await vm.host.host.hypervisor.undefine(vm.uuid);
  await Deno.remove(vm.host.secrets.directory, { recursive: true });
  await vm.host.vms.recover();
  assert.match(await vm.secret(), /<title>web<[^]*passwd='withheld' passwdValidTo='1970-01-01T00:00:01'/);
  assert.deepEqual(await vm.host.journal.list(), []);
});

Deno.test("a VM that is registered from its file has a screen that lets nobody in, and that is told", async () => {
  await using vm = await LockedVm.start();
  await vm.host.host.hypervisor.undefine(vm.uuid);
  await vm.host.host.monitor.refresh(vm.uuid);
  assert.equal(await vm.host.vms.register(vm.uuid), "locked");
  assert.match(await vm.secret(), /passwd='withheld' passwdValidTo='1970-01-01T00:00:01'/);
});

Deno.test("an update gives way to a password that other tools have changed while its disks were made", async () => {
  await using vm = await LockedVm.start();
  const { hypervisor } = vm.host.host;
  const theirs = (await vm.secret()).replace(PASSWORD, "theirs");
  const define = hypervisor.replaceDefinition.bind(hypervisor);
  hypervisor.replaceDefinition = async (uuid, before, xml) => {
    await hypervisor.define(theirs);
    return await define(uuid, before, xml);
  };
  const error = await vm.update();
  assert.ok(error instanceof VirtxError && error.kind === "conflict", String(error));
  assert.match(error.message, /other tools have changed its definition meanwhile; try again/);
  assert.match(await vm.secret(), /passwd=['"]theirs['"]/);
});
