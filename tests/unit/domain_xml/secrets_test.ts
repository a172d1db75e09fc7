import assert from "node:assert/strict";
import { lockedScreens, lockedScreensWarning, withholdSecrets } from "../../../lib/domain_xml/secrets.ts";

const document = (devices: string, metadata = "") =>
  `<domain type='kvm'>\n  <name>a</name>\n  <metadata>${metadata}</metadata>\n  <devices>${devices}</devices>\n</domain>\n`;

Deno.test("a definition without passwords stays as it is, byte for byte", () => {
  for (const xml of [document("<graphics type='vnc' port='-1'/>"), "<domain", "no XML"]) {
    assert.equal(withholdSecrets(xml), xml);
  }
});

Deno.test("a password is replaced by one that has expired, in each screen that has one", () => {
  const screen =
    "<graphics type='vnc' port='-1' passwd='a&amp;b' passwdValidTo='2099-01-01T00:00:00' connected='keep'/>";
  const xml = document(`${screen}<graphics type='spice' passwd=''/><graphics type='sdl'/>`);
  const withheld = withholdSecrets(xml) ?? "";
  assert.doesNotMatch(withheld, /a&amp;b|2099/);
  assert.match(withheld, /connected="keep"/);
  assert.deepEqual(lockedScreens(withheld), ["vnc", "spice"]);
  assert.deepEqual(lockedScreens(xml), []);
  assert.equal(withholdSecrets(withheld), withheld);
  assert.match(lockedScreensWarning("u", withheld) ?? "", /VNC screen.*lets nobody in until virsh edit u/);
  assert.equal(lockedScreensWarning("u", xml), undefined);
});

Deno.test("cookies of disks are left out as libvirt does, and what looks like them elsewhere stays", () => {
  const source = (inner: string) =>
    `<source protocol='https' name='x'>\n      <host name='a'/>${inner}\n    </source>`;
  const cookies = "\n      <cookies>\n        <cookie name='k'>v</cookie>\n      </cookies>";
  const chain = (inner: string) =>
    `<disk>${source(inner)}<backingStore>${source(inner)}</backingStore></disk>`;
  const foreign = "<x:a xmlns:x='x' passwd='mine'><cookies> </cookies></x:a>";
  assert.equal(withholdSecrets(document(chain(cookies), foreign)), document(chain(""), foreign));
});

Deno.test("a document that cannot be read is told as such", () => {
  assert.equal(withholdSecrets("<domain><devices><graphics passwd='x'>"), undefined);
});
