import assert from "node:assert/strict";
import { buildDomainXml, parseDomainCapabilities } from "../../../lib/domain_xml/mod.ts";
import { reachesOut } from "../../../lib/domain_xml/trust.ts";
import { fixture } from "../../support/fixtures.ts";
import { disk, ENUM_VMDEFS } from "../../support/vmdef_examples.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const REACH = {
  emulators: ["/usr/bin/qemu-system-x86_64"],
  allowsDevice: (path: string) => path === "/dev/disk/by-id/lun1",
};

function found(content: string, devices = ""): readonly string[] {
  return reachesOut(`<domain type='kvm'>${content}<devices>${devices}</devices></domain>`, REACH);
}

Deno.test("what virtxd itself defines reaches for nothing of the host", () => {
  const capabilities = parseDomainCapabilities(fixture("domain_xml/libvirt-9.0/domcapabilities-q35.xml"));
  const context = { arch: "x86_64", domainType: "kvm", libvirtVersion: 9_000_000, capabilities } as const;
  for (const { def } of ENUM_VMDEFS) {
    const xml = buildDomainXml(
      numberedUuid(1),
      { ...def, osdisk: disk("/vms/ds/a/os.qcow2"), disks: [] },
      context,
    );
    assert.deepEqual(reachesOut(xml, REACH), [], xml);
  }
});

Deno.test("what guests are given is no matter", () => {
  const devices = `<emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'><source file='/vms/ds/a.qcow2'/><backingStore type='file'><source file='/vms/ds/b'/>
      </backingStore></disk>
    <disk type='block'><source dev='/dev/disk/by-id/lun1'/></disk><disk type='file' device='cdrom'/>
    <disk type='network'><source protocol='rbd' name='pool/disk'><host name='mon1'/></source></disk>
    <interface type='bridge'><source bridge='br0'/></interface><interface type='network'><source network='default'/></interface>
    <serial type='pty' tty='/dev/pts/3'><source path='/dev/pts/3'/></serial><channel type='unix'><source mode='bind'/></channel>
    <lease><lockspace>a</lockspace><key>k</key><target path='/vms/lock/k' offset='0'/></lease>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng><tpm><backend type='emulator'/></tpm>`;
  const top = `<name>/etc/shadow</name><metadata><a:a xmlns:a='urn:a' path='/etc/shadow'>/etc</a:a></metadata>
    <os><loader type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>
      <nvram template='/usr/share/OVMF/OVMF_VARS.fd'>/vms/ds/nvram/x.fd</nvram></os>
    <resource><partition>/machine</partition></resource><seclabel type='dynamic' model='dac' relabel='yes'/>`;
  assert.deepEqual(found(top, devices), []);
});

const REFUSED: readonly (readonly [what: RegExp, top: string, devices: string])[] = [
  [/^<qemu:commandline>/, "<qemu:commandline><qemu:arg value='-S'/></qemu:commandline>", ""],
  [/^<commandline>/, "<commandline xmlns='http://libvirt.org/schemas/domain/qemu/1.0'/>", ""],
  [/^<emulator> "\/tmp\/evil"/, "", "<emulator>/tmp/evil</emulator>"],
  [/^<hostdev>/, "", "<hostdev mode='subsystem' type='usb'/>"],
  [/^<interface type="hostdev">/, "", "<interface type='hostdev'/>"],
  [/^<interface type="vhostuser">/, "", "<interface type='vhostuser'/>"],
  [/^<script path="\/tmp\/up">/, "", "<interface type='bridge'><script path='/tmp/up'/></interface>"],
  [/^<filesystem>/, "", "<filesystem type='mount'><source dir='/'/></filesystem>"],
  [/^<source file="\/etc\/shadow">/, "", "<disk type='file'><source file='/etc/shadow'/></disk>"],
  [/^<source file="\/vms\/ds\/\.\.\/x">/, "", "<disk type='file'><source file='/vms/ds/../x'/></disk>"],
  [/^<source file="json:{}">/, "", "<disk type='file'><source file='json:{}'/></disk>"],
  [/^<source dev="\/dev\/sda">/, "", "<disk type='block'><source dev='/dev/sda'/></disk>"],
  [/^<disk type="volume">/, "", "<disk type='volume'><source pool='default' volume='v'/></disk>"],
  [/^<disk type="nvme">/, "", "<disk type='nvme'/>"],
  [
    /^<source file="\/etc\/passwd">/,
    "",
    "<disk type='file'><backingStore><source file='/etc/passwd'/></backingStore></disk>",
  ],
  [/^<source path="\/etc\/cron\.d\/x">/, "", "<serial type='file'><source path='/etc/cron.d/x'/></serial>"],
  [/^<source path="\/dev\/sda">/, "", "<parallel type='dev'><source path='/dev/sda'/></parallel>"],
  [/^<source path="\/run\/s">/, "", "<channel type='unix'><source mode='connect' path='/run/s'/></channel>"],
  [/^<backend> "\/dev\/sda"/, "", "<rng><backend model='random'>/dev/sda</backend></rng>"],
  [/^<backend type="passthrough">/, "", "<tpm><backend type='passthrough'/></tpm>"],
  [/^<launchSecurity>/, "<launchSecurity type='sev'/>", ""],
  [/^<loader> "\/tmp\/fw"/, "<os><loader>/tmp/fw</loader></os>", ""],
  [/^<nvram> "\/etc\/x"/, "<os><nvram>/etc/x</nvram></os>", ""],
  [/^<nvram template="\/etc\/shadow">/, "<os><nvram template='/etc/shadow'>/vms/ds/nvram/x</nvram></os>", ""],
  [/^<kernel> "\/etc\/shadow"/, "<os><kernel>/etc/shadow</kernel></os>", ""],
  [/^<seclabel>/, "<seclabel type='static' model='dac'><label>+0:+0</label></seclabel>", ""],
  [
    /^<source dev="\/dev\/input\/event0">/,
    "",
    "<input type='evdev'><source dev='/dev/input/event0'/></input>",
  ],
];

for (const [what, top, devices] of REFUSED) {
  Deno.test(`${what.source} is refused`, () => {
    const lines = found(top, devices);
    assert.equal(lines.length, 1, lines.join("\n"));
    assert.match(lines[0] ?? "", what);
  });
}
