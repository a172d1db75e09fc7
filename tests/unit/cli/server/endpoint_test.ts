import assert from "node:assert/strict";
import { parseEndpoint, parseEndpoints } from "../../../../lib/cli/server/endpoint.ts";
import { choose } from "../../../../lib/cli/server/open.ts";
import { printProfiles, readProfiles, writeProfiles } from "../../../../lib/cli/server/profiles.ts";
import { TempDir } from "../../../support/temp_dir.ts";

Deno.test("servers are written in many ways", () => {
  const cases: [string, string][] = [
    ["virt1", "http://virt1:8080"],
    ["virt1:9000", "http://virt1:9000"],
    ["192.0.2.1", "http://192.0.2.1:8080"],
    ["::1", "http://[::1]:8080"],
    ["[::1]:9000", "http://[::1]:9000"],
    ["http://virt1:8080/", "http://virt1:8080"],
    ["https://virt1", "https://virt1"],
    ["unix:/run/virtxd/virtxd.sock", "unix:/run/virtxd/virtxd.sock"],
    ["/run/virtxd/virtxd.sock", "unix:/run/virtxd/virtxd.sock"],
  ];
  for (const [text, address] of cases) assert.equal(parseEndpoint(text), address, text);
  assert.deepEqual(parseEndpoints("virt1, virt2:9000,"), ["http://virt1:8080", "http://virt2:9000"]);
});

Deno.test("what is no server is refused, and so is a password", () => {
  for (const text of ["", "virt1:x", "ftp://virt1", "http://virt1/path", "vi rt", "http://"]) {
    assert.throws(() => parseEndpoint(text), /is no server: use/, text);
  }
  assert.throws(
    () => parseEndpoint("http://me:secret@virt1"),
    (error) => error instanceof Error && /password/.test(error.message) && !error.message.includes("secret"),
  );
});

Deno.test("the server is chosen by flag, profile, variable and configuration, in this order", async () => {
  await using dir = await TempDir.create();
  const path = dir.at("deep/config.toml");
  const config = {
    default: "lab",
    profiles: new Map([["lab", { servers: ["virt1", "virt2"] }], ["home", { servers: ["/x.sock"] }]]),
  };
  const by = async (o: { servers?: string; profile?: string }, vars: Record<string, string> = {}) => {
    const env = (name: string) => ({ VIRTX_CONFIG: path, ...vars })[name];
    const { endpoints, because } = await choose({ servers: o.servers, profile: o.profile, env });
    return `${endpoints.join(",")} (${because})`;
  };
  assert.equal(await by({}), "unix:/run/virtxd/virtxd.sock (this host)");
  await writeProfiles(path, config);
  assert.deepEqual(await readProfiles(path), config);
  assert.equal(await by({}), "http://virt1:8080,http://virt2:8080 (profile lab)");
  assert.equal(await by({}, { VIRTX_PROFILE: "home" }), "unix:/x.sock (profile home)");
  const both = { VIRTX_PROFILE: "home", VIRTX_API_SERVER: "virt3" };
  assert.equal(await by({}, both), "http://virt3:8080 (VIRTX_API_SERVER)");
  assert.equal(await by({ profile: "lab" }, both), "http://virt1:8080,http://virt2:8080 (profile lab)");
  assert.equal(await by({ profile: "lab", servers: "virt4" }, both), "http://virt4:8080 (--server)");
  await assert.rejects(by({ profile: "nope" }), /There is no profile "nope": .* has lab, home/);
});

Deno.test("a mistake in the configuration is told with its place", async () => {
  await using dir = await TempDir.create();
  const cases: [text: string, message: RegExp][] = [
    ["defalt = 'x'", /there is no key "defalt" \(did you mean "default"\?\)/],
    ["default = 'x'", /default is "x", and there is no such profile/],
    ["default = 1", /default must be a profile's name/],
    ["[profiles.x]\n", /profiles\.x must have servers, a list of at least one/],
    ["[profiles.x]\nservers = ['http://a:b@c']", /password/],
    ["[profiles.x]\nservers = ['a']\ntoken = 'b'", /profiles\.x has no key "token"/],
    ["[profiles", /config\.toml:1:\d+: /],
  ];
  for (const [text, message] of cases) {
    await Deno.writeTextFile(dir.at("config.toml"), text);
    await assert.rejects(readProfiles(dir.at("config.toml")), message, text);
  }
  assert.match(printProfiles({ default: undefined, profiles: new Map() }), /^\[profiles\]\s*$/);
});
