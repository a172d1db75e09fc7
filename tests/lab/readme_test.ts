import assert from "node:assert/strict";
import type { LabHost } from "../../scripts/lab/host.ts";
import { until } from "../../scripts/lab/until.ts";
import { ROOT } from "../../scripts/paths.ts";
import { EXECUTABLE } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

/** The README's example addresses, and what it says to edit for each host. */
const EXAMPLE = `address=10.0.0.1 others='"10.0.0.2", "10.0.0.3"'`;

/**
 * A lab host has no systemd. This does of it what the README asks for: it starts a service by the command line of its unit, ours
 * or that of Debian's package. libvirtd gets no sockets from it, so where its socket for TCP is enabled it opens one itself.
 */
const SYSTEMCTL = `#!/bin/sh
set -eu
start() {
  if [ "$1" = libvirtd ]; then
    cp /etc/libvirt/libvirtd.conf /run/libvirtd.conf
    set --
    if [ -e /run/libvirtd-tcp ]; then
      printf 'listen_tls = 0\\nlisten_tcp = 1\\n' >>/run/libvirtd.conf
      set -- --listen
    fi
    LD_PRELOAD=/usr/local/lib/shared_storage.so exec start-stop-daemon --start --oknodo --pidfile /run/libvirtd.pid \\
      --startas /usr/sbin/libvirtd -- --daemon --pid-file=/run/libvirtd.pid --config=/run/libvirtd.conf "$@"
  fi
  unit=$(ls /etc/systemd/system/$1.service /usr/lib/systemd/system/$1.service 2>/dev/null | head -n 1)
  command=$(sed -n 's/^ExecStart=//p' "$unit")
  exec start-stop-daemon --start --oknodo --background --make-pidfile --pidfile "/run/$1.pid" \\
    --output "/var/log/$1.log" --startas "\${command%% *}" -- \${command#* }
}
stop() {
  start-stop-daemon --stop --oknodo --retry TERM/30/KILL/5 --pidfile "/run/$1.pid"
}
case "$*" in
  "enable serf") ;;
  "restart serf") stop serf && start serf ;;
  "stop libvirtd") stop libvirtd ;;
  "enable --now libvirtd-tcp.socket") touch /run/libvirtd-tcp ;;
  "enable --now libvirtd") start libvirtd ;;
  "enable --now virtxd") start virtxd ;;
  *) echo "this stand-in for systemctl does not know: $*" >&2 && exit 64 ;;
esac
`;

/** The packages are the machine's. */
const APT_GET = `#!/bin/sh
[ "$1" = install ] && shift
for package; do
  case $package in
    libvirt-daemon-system) program=libvirtd ;;
    qemu-system-x86) program=qemu-system-x86_64 ;;
    qemu-utils) program=qemu-img ;;
    *) program=$package ;;
  esac
  command -v "$program" >/dev/null || exit
done
`;

/** The shell examples of the README's section about hosts of one's own, in their order. */
async function examples(): Promise<string[]> {
  const readme = await Deno.readTextFile(`${ROOT}/README.md`);
  const section = /^## On hosts of your own$([^]*?)^## /m.exec(readme)?.[1] ?? "";
  return [...section.matchAll(/^```sh\n([^]*?)^```$/gm)].map((match) => match[1] ?? "");
}

/** Brings a host to where a new Debian is: nothing runs, and nothing is configured but what the lab needs to be one. */
async function makeNew(host: LabHost): Promise<void> {
  for (const service of ["serf", "libvirtd"]) await host.stopDaemon(service);
  await host.exec(["rm", "/etc/serf/agent.json"]);
  const conf = "/etc/libvirt/libvirtd.conf";
  await host.exec(["sed", "-i", "-E", "/^(listen_tcp|listen_tls|auth_tcp) /d", conf]);
  await host.exec(["mkdir", "-p", "/etc/systemd/system", "/etc/virtxd"]);
  // Its processor is an emulated one, whatever /dev/kvm says.
  await host.exec(["tee", "/etc/virtxd/virtxd.toml"], { stdin: 'domain-type = "qemu"\n' });
  for (const [name, text] of [["systemctl", SYSTEMCTL], ["apt-get", APT_GET]] as const) {
    await host.exec(["tee", `/usr/local/bin/${name}`], { stdin: text });
    await host.exec(["chmod", "755", `/usr/local/bin/${name}`]);
  }
  await host.install(EXECUTABLE, "/usr/local/bin/virtxd");
}

async function sh(host: LabHost, script: string): Promise<string> {
  return await host.exec(["bash", "-e", "-c", script], { timeoutMs: 120_000 });
}

Deno.test("who follows the README on three hosts gets to a live migration", async () => {
  const [build = "", each = "", anywhere = "", ...more] = await examples();
  assert.match(build, /task build\nscp /);
  assert.ok(each.includes(EXAMPLE), "the README says what to edit");
  assert.deepEqual(more, []);

  await using lab = await TestLab.up({ hosts: 3 });
  const hosts = [lab.host(1), lab.host(2), lab.host(3)];
  for (const host of hosts) {
    await makeNew(host);
    const others = hosts.filter((other) => other.name !== host.name).map(({ address }) => `"${address}"`);
    await sh(host, each.replace(EXAMPLE, `address=${host.address} others='${others.join(", ")}'`));
  }
  const host = lab.host(1);
  await until(
    "all hosts to be listed as active",
    async () => {
      const { code, stdout } = await host.run(["virtx", "host", "list"]);
      return code === 0 && stdout.match(/ active /g)?.length === 3 || undefined;
    },
    120_000,
    500,
  );

  // The emulated processor is the one thing that a lab's host has to ask for.
  const outputs = await sh(host, anywhere.replace(/^(virtx vm create .*)$/m, "$1 --cpu-model maximum"));
  assert.match(outputs, /^db1: created, /m);
  assert.match(outputs, /^db1: started$/m);
  assert.match(outputs, /^db1: migrated from virt[123] to virt[123]$/m);
});
