import assert from "node:assert/strict";
import type { Vmdef } from "../../lib/model/vm.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

const PATH = "/vms/ds/own1.qcow2";

function vmdef(name: string, but: { man: 1; prov?: 1; size?: number }): Vmdef {
  return { ...SMALL_VMDEF, name, osdisk: disk(PATH, but) };
}

Deno.test("the disk of a VM that runs on another host is neither given away nor deleted", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const [one, two] = [cluster.daemon(1), cluster.daemon(2)];
  const host = cluster.uuid(1);
  const vm = await one.json<string>("POST", "/vms", {
    vmdef: vmdef("own1", { man: 1, prov: 1, size: 8 }),
    host,
  });
  await one.json("POST", `/vms/${vm}/runstate/boot`, null);
  const thief = { vmdef: vmdef("thief", { man: 1 }), host: cluster.uuid(2) };
  await assert.rejects(one.json("POST", "/vms", thief), {
    kind: "conflict",
    message: new RegExp(`is one of VM "own1" \\(${vm}\\) of host virt1`),
  });
  await cluster.host(1).exec(["test", "-e", PATH]);
  await one.json("DELETE", `/vms/${vm}/runstate/boot`, { force: 2 });
  await two.json("DELETE", `/vms/${vm}`, { deletestorage: true });
  assert.notEqual((await cluster.host(1).run(["test", "-e", PATH])).code, 0);
  const again = await two.json<string>("POST", "/vms", {
    vmdef: vmdef("own1", { man: 1, prov: 1, size: 8 }),
    host: cluster.uuid(2),
  });
  await two.json("DELETE", `/vms/${again}`, { deletestorage: true });
});

Deno.test("a disk that other tools gave to a VM of this host, at once or for its next start, is in use", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  await using cluster = await LabCluster.start(lab);
  const [host, daemon] = [cluster.host(1), cluster.daemon(1)];
  const [name, path] = ["busy", "/vms/ds/hot.qcow2"];
  const vm = await daemon.json<string>("POST", "/vms", {
    vmdef: vmdef(name, { man: 1, prov: 1, size: 8 }),
    host: "",
  });
  await daemon.json("POST", `/vms/${vm}/runstate/boot`, null);
  await host.exec(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"]);
  const options = ["--driver", "qemu", "--subdriver", "qcow2", "--targetbus", "virtio"];
  const thief = { vmdef: { ...SMALL_VMDEF, name: "thief", osdisk: disk(path, { man: 1 }) }, host: "" };
  // As libvirt tells when it is asked, or as its event has told before.
  const refused = {
    kind: "conflict",
    message: new RegExp(`(is one of )?VM "${name}" \\(${vm}\\)( uses disk)?`),
  };
  const mine = await daemon.json<string>("POST", "/vms", thief);
  await host.exec(["virsh", "-q", "attach-disk", vm, path, "vdx", "--live", ...options]);
  await daemon.json("DELETE", `/vms/${mine}`, { deletestorage: true });
  await host.exec(["test", "-e", path]); // which the running VM has
  for (const asked of ["/vms", "/vms?dry_run=true"]) {
    const answer = daemon.json<{ fits?: boolean }>("POST", asked, thief);
    if (asked === "/vms") await assert.rejects(answer, refused);
    else assert.equal((await answer).fits, false);
  }
  await daemon.json("DELETE", `/vms/${vm}/runstate/boot`, { force: 2 }); // it has no system that would let go of a disk
  await host.exec(["virsh", "-q", "attach-disk", vm, path, "vdx", "--config", ...options]);
  await assert.rejects(daemon.json("POST", "/vms", thief), refused);
  await host.exec(["virsh", "-q", "detach-disk", vm, "vdx", "--config"]);
  // libvirt's event tells a moment later that it is free.
  const again = await until(
    "the disk to be free",
    () => daemon.json<string>("POST", "/vms", thief).catch(() => undefined),
    10_000,
  );
  await daemon.json("DELETE", `/vms/${again}`, { deletestorage: true });
  await assert.rejects(host.exec(["test", "-e", path]));
});
