import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "smol-toml";
import { ConfigError, describeConfig, type Flags, loadConfig } from "../../../lib/daemon/config.ts";
import { SETTING_NAMES, type SettingName, settingOf, spellings } from "../../../lib/daemon/settings.ts";
import { TempDir } from "../../support/temp_dir.ts";

const ABSENT = "/nonexistent/virtxd.toml";

function flags(values: Partial<Record<SettingName, string>> = {}): Flags {
  return { values: new Map(Object.entries(values)) as Map<SettingName, string> };
}

/** What is wrong, each as `where: message`. */
async function problems(promise: Promise<unknown>): Promise<string[]> {
  const error = await promise.then(() => undefined, (error) => error);
  assert.ok(error instanceof ConfigError, "the configuration was accepted");
  return error.problems.map(({ where, message }) => `${where}: ${message}`);
}

/** What a file with this text leads to. */
async function load(toml: string, given = flags(), env: Record<string, string> = {}) {
  await using dir = await TempDir.create();
  await Deno.writeTextFile(dir.at("virtxd.toml"), toml);
  try {
    return await loadConfig(given, { ...env, VIRTXD_CONFIG: dir.at("virtxd.toml") });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.problems.map((p) => ({ ...p, where: p.where.replace(`${dir.path}/`, "") })));
  }
}

Deno.test("without anything given, the defaults hold", async () => {
  const { values, origins } = await loadConfig(flags(), {}, ABSENT);
  for (const name of SETTING_NAMES) {
    assert.deepEqual(values[name], settingOf(name).default);
    assert.deepEqual(origins[name], { source: "default", where: "default" });
  }
});

Deno.test("a flag wins over a variable, that over the file, and that over the default", async () => {
  const given = { flag: "1s", environment: "2s", file: "3s", default: "15s" };
  for (const present of [["flag", "environment", "file"], ["environment", "file"], ["file"], []] as const) {
    const has = (source: keyof typeof given) => (present as readonly string[]).includes(source);
    const { values, origins } = await load(
      has("file") ? `sample-interval = "${given.file}"` : "",
      flags(has("flag") ? { sampleInterval: given.flag } : {}),
      has("environment") ? { VIRTXD_SAMPLE_INTERVAL: given.environment } : {},
    );
    const source = present[0] ?? "default";
    assert.equal(origins.sampleInterval.source, source);
    assert.equal(values.sampleInterval, parseInt(given[source]) * 1000);
  }
});

Deno.test("an empty variable counts as unset", async () => {
  const { origins } = await loadConfig(flags(), { VIRTXD_LOG_LEVEL: "" }, ABSENT);
  assert.equal(origins.logLevel.source, "default");
});

Deno.test("a value that is replaced by a stronger source must be right nevertheless", async () => {
  assert.deepEqual(await problems(load("log-level = 3", flags({ logLevel: "debug" }))), [
    "virtxd.toml:1:1: log-level must be one of debug, info, warn, error",
  ]);
});

Deno.test("unknown keys and wrong types are refused at their line and column, all at once", async () => {
  const toml = [
    'log-levle = "debug"',
    "listen = 8080",
    '  block-devices = ["/dev/sdb", 7]',
    "# socket = 1",
    "insecure = 'yes'",
    "[libvirt]",
    'uri = "qemu:///system"',
    "[empty.table]",
  ].join("\n");
  assert.deepEqual(
    await problems(
      load(toml, flags({ domainType: "xen" }), { VIRTXD_LOGLEVEL: "debug", VIRTXD_LISTEN: "8080" }),
    ),
    [
      'virtxd.toml:1:1: there is no setting "log-levle" (did you mean "log-level"?)',
      'virtxd.toml:2:1: listen must be a list, each entry an IP address and port such as 127.0.0.1:8080 or [::1]:8080; or "none"',
      'virtxd.toml:3:3: block-devices must be a list, each entry a path below /dev; or "none"',
      "virtxd.toml:5:1: insecure must be true or false",
      'virtxd.toml:7:1: there is no setting "libvirt.uri" (did you mean "libvirt-uri"?)',
      'virtxd.toml:8:2: there is no setting "empty.table"',
      'VIRTXD_LOGLEVEL: there is no setting of this name (did you mean "VIRTXD_LOG_LEVEL"?)',
      'VIRTXD_LISTEN: "8080" must be a list, each entry an IP address and port such as 127.0.0.1:8080 or [::1]:8080; or "none"',
      '--domain-type: "xen" must be one of auto, kvm, qemu',
    ],
  );
});

Deno.test("a syntax error is told with its line and column", async () => {
  const [problem = ""] = await problems(load("log-level = 'info'\nlisten = [\n"));
  assert.match(problem, /^virtxd\.toml:[23]:\d+: \S/);
  assert.ok(!problem.includes("\n"), problem);
});

Deno.test("a named file that cannot be read is refused, an absent default one is not", async () => {
  const [problem = ""] = await problems(loadConfig({ ...flags(), config: ABSENT }, {}));
  assert.match(problem, /^\/nonexistent\/virtxd\.toml: cannot be read: No such file/);
  await loadConfig(flags(), {}, ABSENT);
});

Deno.test("an address that others can reach needs insecure, and the refusal says why", async () => {
  for (const address of ["0.0.0.0:8080", "[::]:8080", "192.168.1.1:80", "[fe80::1]:80"]) {
    const [problem = ""] = await problems(loadConfig(flags({ listen: address }), {}, ABSENT));
    assert.ok(problem.startsWith(`--listen: ${address} can be reached from other machines`), problem);
    assert.match(problem, /no TLS/);
    assert.match(problem, /--insecure/);
    await loadConfig(flags({ listen: address, insecure: "true" }), {}, ABSENT);
  }
});

Deno.test("without being told, nothing listens but the socket, and loopback needs insecure, too", async () => {
  const { values } = await loadConfig(flags(), {}, ABSENT);
  assert.deepEqual([values.listen, values.socket], [[], "/run/virtxd/virtxd.sock"]);
  for (const address of ["127.0.0.1:0", "127.8.9.1:65535", "[::1]:8080", "localhost:8080"]) {
    const [problem = ""] = await problems(loadConfig(flags({ listen: address }), {}, ABSENT));
    assert.ok(
      problem.startsWith(`--listen: ${address} can be reached by every user of this machine`),
      problem,
    );
    assert.match(problem, /--insecure/);
    await loadConfig(flags({ listen: address, insecure: "true" }), {}, ABSENT);
  }
});

Deno.test("the default of each setting, as the help has it, can be given", async () => {
  for (const name of SETTING_NAMES) {
    const { type, default: value } = settingOf(name);
    assert.deepEqual(type.fromText(type.toText(value)), value, name);
    if (type.toText(value) === "none") assert.deepEqual(type.fromToml("none"), value, name);
  }
  const { values } = await loadConfig(flags({ blockDevices: "none", listen: "none" }), {}, ABSENT);
  assert.deepEqual([values.blockDevices, values.listen], [[], []]);
});

Deno.test("listening nowhere at all is refused", async () => {
  assert.equal((await problems(loadConfig(flags({ listen: "", socket: "none" }), {}, ABSENT))).length, 1);
});

Deno.test("values outside their rules are refused from each source", async () => {
  const wrong: Partial<Record<SettingName, string[]>> = {
    listen: [
      "8080",
      "127.0.0.1",
      "127.0.0.1:65536",
      "300.0.0.1:80",
      "01.2.3.4:5",
      "::1:80",
      "[::g]:80",
      "name:80",
    ],
    socket: ["relative", "None"],
    insecure: ["yes", "1"],
    libvirtUri: ["qemu", "", "qemu:///a b"],
    sampleInterval: ["15", "0s", "999ms", "2 s", "1d", "-5s", "1.5s", "2h"],
    blockDevices: ["/dev/", "/dev/../etc/passwd", "/dev//sda", "/vms/x", "sda", "/dev/a/.", "/dev/sda/"],
    provisionConcurrency: ["0", "65", "1e1", "x"],
  };
  for (const [name, values] of Object.entries(wrong) as [SettingName, string[]][]) {
    for (const value of values) {
      const { flag, variable, key } = spellings(name);
      if (value !== "") {
        const found = await problems(loadConfig(flags(), { [variable]: value }, ABSENT));
        assert.ok(found[0]?.startsWith(`${variable}: ${JSON.stringify(value)} must be `), String(found));
      }
      const found = await problems(loadConfig(flags({ [name]: value }), {}, ABSENT));
      assert.ok(found[0]?.startsWith(`${flag}: ${JSON.stringify(value)} must be `), String(found));
      const inFile = settingOf(name).type.repeatable ? [value] : value;
      const fromFile = await problems(load(`${key} = ${JSON.stringify(inFile)}`));
      assert.ok(fromFile[0]?.startsWith(`virtxd.toml:1:1: ${key} must be `), String(fromFile));
    }
  }
});

Deno.test("what --check-config prints is a configuration file that leads to the same values", async () => {
  const given = flags({
    listen: "[::]:1,127.0.0.1:2",
    socket: "none",
    insecure: "true",
    blockDevices: "/dev/disk/by-id/wwn-0x5000,/dev/mapper/a b",
    sampleInterval: "90s",
    shutdownTimeout: "0ms",
    provisionTimeout: "1500ms",
  });
  const first = await loadConfig(given, { VIRTXD_LOG_LEVEL: "warn" }, ABSENT);
  const printed = describeConfig(first);
  assert.match(printed, /^log-level = "warn" +# VIRTXD_LOG_LEVEL$/m);
  assert.match(printed, /^sample-interval = "90s" +# --sample-interval$/m);
  assert.equal(Object.keys(parse(printed)).length, SETTING_NAMES.length);
  assert.deepEqual((await load(printed)).values, first.values);
});

Deno.test("any text in any place is either accepted or refused as a ConfigError", async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...SETTING_NAMES), fc.string({ unit: "binary" }), async (name, text) => {
      try {
        await loadConfig(flags({ [name]: text }), {}, ABSENT);
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
      }
    }),
  );
});
