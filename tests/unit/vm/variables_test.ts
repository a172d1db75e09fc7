import assert from "node:assert/strict";
import { silentLogger } from "../../../lib/model/log.ts";
import { variablesPath } from "../../../lib/model/paths.ts";

import { hasLocalVariables, Variables, type VariablesOptions } from "../../../lib/vm/variables.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const VM = numberedUuid(1);
const LOCAL = "/var/lib/libvirt/qemu/nvram/web_VARS.fd";

function definition(nvram: string): string {
  return `<domain type='qemu'>\n  <name>web</name>\n  <os firmware='efi'>\n    <type>hvm</type>${nvram}\n  </os>\n</domain>`;
}

/** Variables of a host that has the VM with that definition; what is done, in order. */
function setUp(xml: string, o: { readonly here?: boolean } = {}) {
  const done: string[] = [];
  const note = <T>(what: string, value: T) => {
    done.push(what);
    return Promise.resolve(value);
  };
  const files: VariablesOptions["storage"]["variables"] = {
    adopt: (vm, path) => note(`copy ${path} to ${variablesPath(vm)}`, undefined),
    putAway: (path, suffix) => note(`rename ${path} to .${suffix.replace(/-.*/, "")}`, path),
  };
  const variables = new Variables({
    hypervisor: {
      definitionWithSecrets: () => Promise.resolve(xml),
      define: (edited) => note(`define ${/<nvram>.*<\/nvram>/.exec(edited)?.[0]}`, VM),
      domains: () => Promise.resolve(o.here ? [{ uuid: VM, name: "web", persistent: true }] : []),
    },
    storage: { variables: files },
    log: silentLogger,
  });
  return { variables, done };
}

Deno.test("variables are copied before the definition says so, and put away only after that", async () => {
  const { variables, done } = setUp(definition(""));
  await variables.share(VM);
  assert.deepEqual(done, [
    `copy ${LOCAL} to /vms/ds/nvram/${VM}.fd`,
    `define <nvram>/vms/ds/nvram/${VM}.fd</nvram>`,
    `rename ${LOCAL} to .migrated`,
  ]);
});

Deno.test("what is on shared storage, or has no variables, is left as it is", async () => {
  for (
    const xml of [definition(`<nvram>${variablesPath(VM)}</nvram>`), definition("").replace("efi", "bios")]
  ) {
    const { variables, done } = setUp(xml);
    await variables.share(VM);
    await variables.leave(VM, xml);
    assert.deepEqual(done, []);
  }
});

Deno.test("what a VM left here is put away, unless it is back", async () => {
  const xml = definition("");
  const gone = setUp(xml);
  await gone.variables.leave(VM, xml);
  assert.deepEqual(gone.done, [`rename ${LOCAL} to .migrated`]);
  const back = setUp(xml, { here: true });
  await back.variables.leave(VM, xml);
  await back.variables.leave(VM, undefined);
  assert.deepEqual(back.done, []);
});

Deno.test("only variables on the host itself go with the definition", () => {
  assert.ok(hasLocalVariables(definition("")));
  assert.ok(!hasLocalVariables(definition(`<nvram>${variablesPath(VM)}</nvram>`)));
  assert.ok(!hasLocalVariables("<domain"));
});
