import assert from "node:assert/strict";
import { FirmwareVariables } from "../../../lib/storage/firmware_variables.ts";
import { Tree } from "../../../lib/posix/tree.ts";
import { LocalFiles } from "../../../lib/posix/local_files.ts";
import { SharedStorage } from "../../support/shared_storage.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const VM = numberedUuid(1);
const LOCAL = "/var/lib/libvirt/qemu/nvram/web_VARS.fd";

/** The host's own files, which are in a directory of the test. */
class HostFiles extends LocalFiles {
  readonly #files = new LocalFiles();

  constructor(readonly root: string) {
    super();
  }

  override lstat(path: string) {
    return this.#files.lstat(this.root + path);
  }

  override readStart(path: string, bytes: number) {
    return this.#files.readStart(this.root + path, bytes);
  }

  override read(path: string, limitBytes: number) {
    return this.#files.read(this.root + path, limitBytes);
  }

  override rename(path: string, to: string) {
    return this.#files.rename(this.root + path, this.root + to);
  }
}

function permissions(path: string): number {
  return (Deno.statSync(path).mode ?? 0) & 0o777;
}

function volume(fill: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4_096).fill(fill);
  bytes.set(new TextEncoder().encode("_FVH"), 40);
  return bytes;
}

async function setUp() {
  const shared = await SharedStorage.create();
  const host = `${shared.root}/host`;
  await Deno.mkdir(`${host}/var/lib/libvirt/qemu/nvram`, { recursive: true });
  const variables = new FirmwareVariables(
    new Tree(`${shared.root}/ds`, shared.tree.files),
    () => {},
    new HostFiles(host),
  );
  return { shared, variables, local: host + LOCAL, adopted: `${shared.root}/ds/nvram/${VM}.fd` };
}

Deno.test("variables of the host are copied to shared storage, over what is there, and then put away", async () => {
  const { shared, variables, local, adopted } = await setUp();
  await using _shared = shared;
  for (const fill of [1, 2]) {
    await Deno.writeFile(local, volume(fill));
    assert.equal(await variables.objection(LOCAL), undefined);
    await variables.adopt(VM, LOCAL);
    assert.deepEqual(await Deno.readFile(adopted), volume(fill));
    assert.equal(permissions(adopted), 0o600);
    assert.equal(permissions(`${shared.root}/ds/nvram`), 0o755);
  }
  assert.equal(await variables.putAway(LOCAL, "away"), `${LOCAL}.away`);
  assert.deepEqual(await Deno.readFile(`${local}.away`), volume(2));
  assert.equal(await variables.putAway(LOCAL, "away"), undefined); // none is fine
});

Deno.test("a VM that has never run has no variables yet: only the room for them is made", async () => {
  const { shared, variables, adopted } = await setUp();
  await using _shared = shared;
  await variables.adopt(VM, LOCAL);
  await assert.rejects(Deno.stat(adopted), Deno.errors.NotFound);
  assert.ok((await Deno.stat(`${shared.root}/ds/nvram`)).isDirectory);
});

Deno.test("what is no file of variables, or lies elsewhere, is neither copied nor renamed", async () => {
  const { shared, variables, local, adopted } = await setUp();
  await using _shared = shared;
  const refuses = async (path: string, reason: RegExp) => {
    assert.match(await variables.objection(path) ?? "", reason);
    await assert.rejects(variables.adopt(VM, path), reason);
    assert.equal(await variables.putAway(path, "away"), undefined);
  };
  await refuses("/etc/shadow", /neither on shared storage nor where libvirt keeps them/);
  await refuses("/var/lib/libvirt/qemu/nvram/../x", /neither on shared storage/);
  await Deno.writeTextFile(local, "root:$6$secret".repeat(100));
  await refuses(LOCAL, /no firmware volume/);
  await Deno.remove(local);
  await Deno.symlink("/etc/passwd", local);
  await refuses(LOCAL, /no regular file/);
  await assert.rejects(Deno.stat(adopted), Deno.errors.NotFound);
});

Deno.test("blank variables and those in qcow2 are taken, too", async () => {
  const { shared, variables, local } = await setUp();
  await using _shared = shared;
  for (const content of [new Uint8Array(4_096), new Uint8Array([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3])]) {
    await Deno.writeFile(local, content);
    assert.equal(await variables.objection(LOCAL), undefined);
  }
});
