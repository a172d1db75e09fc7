import assert from "node:assert/strict";
import { inFreshRoot, readmeCommand } from "../fresh/support/fresh_root.ts";
import { ROOT } from "../../scripts/paths.ts";

/** The README's line that installs what a host takes. */
async function installLine(): Promise<string> {
  const line = /^apt-get install libvirt.*$/m.exec(await Deno.readTextFile(`${ROOT}/README.md`))?.[0];
  if (line === undefined) throw new Error("README.md does not say what to install on a host");
  return line;
}

for (const suite of ["bookworm", "trixie"] as const) {
  Deno.test(`on a new ${suite} with what the README says to install, and libvirt as Debian sets it, a VM runs`, async () => {
    const { code, output } = await inFreshRoot(
      { suite, packages: ["procps"] },
      `set -e
      echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/assume-yes
      ${await installLine()} >/tmp/apt 2>&1 || { tail -n 20 /tmp/apt; exit 1; }
      ${await readmeCommand("task build")}
      cp dist/virtxd /usr/local/bin/ && ln -s virtxd /usr/local/bin/virtx
      virtlogd --daemon && libvirtd --daemon # there is no systemd in here
      mkdir -p /vms/ds
      virtxd --serf-rpc none --domain-type qemu &
      tries=0
      until virtx host list 2>/dev/null; do tries=$((tries + 1)); [ $tries -lt 120 ] || exit 99; sleep 0.5; done
      virtx vm create --name db1 --cpus 1 --memory 256MiB --disk size=1GiB --cpu-model maximum
      virtx vm start db1
      ps -o user= -p "$(pgrep -o qemu-system)" | sed 's/^/QEMU runs as /'
      virtx vm kill db1 --yes
      virtx vm delete db1 --storage --yes`,
    );
    assert.equal(code, 0);
    assert.match(output, /^db1: started$/m);
    assert.match(output, /^QEMU runs as libvirt/m);
  });
}
