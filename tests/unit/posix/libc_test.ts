import assert from "node:assert/strict";
import { errnoCode, errnoName } from "../../../lib/posix/errno.ts";
import { Libc } from "../../../lib/posix/libc.ts";
import { LoopDevice } from "../../support/loop_device.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** Asserts that the call fails with the errno, and gives the message. */
function failureOf(code: string, call: () => unknown): string {
  try {
    call();
  } catch (error) {
    assert.equal(errnoCode(error), code);
    return (error as Error).message;
  }
  assert.fail(`no failure, wanted ${code}`);
}

Deno.test("a file of /proc is read whole, also if it is larger than the first buffer", () => {
  using libc = Libc.open();
  assert.match(libc.readKernelFile("/proc/meminfo"), /^MemTotal: +\d+ kB\n/);
  const symbols = libc.readKernelFile("/proc/kallsyms");
  assert.ok(symbols.length > 256 << 10, `${symbols.length} bytes`);
  assert.equal(symbols.split("\n").length, Deno.readTextFileSync("/proc/kallsyms").split("\n").length);
});

Deno.test("a kernel file that is missing or unreadable fails with path and errno name, or is undefined if sought", () => {
  using libc = Libc.open();
  const message = failureOf("ENOENT", () => libc.readKernelFile("/proc/no-such-file"));
  assert.equal(message, 'Cannot open "/proc/no-such-file": No such file or directory (ENOENT)');
  failureOf("EISDIR", () => libc.readKernelFile("/proc/self"));
  assert.equal(libc.findKernelFile("/proc/no-such-file"), undefined);
  failureOf("EISDIR", () => libc.findKernelFile("/proc/self"));
  assert.throws(() => libc.readKernelFile("/proc/meminfo\0x"), TypeError);
});

Deno.test("a C library that cannot be loaded is reported with every path that was tried", () => {
  assert.throws(() => Libc.open(["/nowhere/libc.so.6", "/etc/hostname"]), {
    kind: "unavailable",
    message: /Cannot load the C library: .*\/nowhere\/libc\.so\.6.*\/etc\/hostname/s,
  });
});

Deno.test("kernel files are readable with no permission but the C library's", async () => {
  const libc = import.meta.resolve("../../../lib/posix/libc.ts");
  const { libcPaths } = await import("../../../lib/posix/symbols.ts");
  await using dir = await TempDir.create();
  const script = dir.at("main.ts");
  await Deno.writeTextFile(
    script,
    `import { Libc } from "${libc}"; using libc = Libc.open(); console.log(libc.readKernelFile("/proc/uptime"));`,
  );
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", `--allow-ffi=${libcPaths().join(",")}`, "--no-lock", "--no-config", script],
    cwd: dir.path,
  }).output();
  assert.match(new TextDecoder().decode(stdout), /^\d+\.\d+ /, new TextDecoder().decode(stderr));
});

Deno.test("two names of one file have one identity, a copy and a symbolic link have their own", async () => {
  using libc = Libc.open();
  await using dir = await TempDir.create();
  await Deno.writeTextFile(dir.at("a"), "x");
  await Deno.link(dir.at("a"), dir.at("b"));
  await Deno.copyFile(dir.at("a"), dir.at("c"));
  await Deno.symlink("a", dir.at("s"));
  const [a, b, c, s, none] = await Promise.all(
    ["a", "b", "c", "s", "none"].map((name) => libc.identity(dir.at(name))),
  );
  assert.equal(a?.inode, BigInt((await Deno.lstat(dir.at("a"))).ino ?? 0));
  assert.deepEqual(a, b);
  assert.notDeepEqual(a, c);
  assert.notDeepEqual(a, s);
  assert.equal(none, undefined);
});

Deno.test("the free space of a file system is told, and undefined where there is none", async () => {
  using libc = Libc.open();
  const df = new Deno.Command("df", { args: ["--output=avail", "-B1", "/dev/shm"] });
  const wanted = Number(new TextDecoder().decode((await df.output()).stdout).split("\n")[1]);
  const told = await libc.availableBytes("/dev/shm");
  assert.ok(told !== undefined && Math.abs(told - wanted) < 16 << 20, `${told} of ${wanted}`);
  assert.equal(await libc.availableBytes("/no-such-directory"), undefined);
});

Deno.test("a block device tells its size without being opened, through links below /dev but not out of it", async () => {
  using libc = Libc.open();
  await using device = await LoopDevice.create(5);
  const name = device.path.replace("/dev/", "");
  const link = `/dev/virtxd-test-${crypto.randomUUID()}`;
  const target = device.dir.at("outside");
  await Deno.symlink("/dev/null", target);
  const escape = `${link}-escape`;
  await Deno.symlink(name, link);
  await Deno.symlink(target, escape);
  try {
    assert.equal(libc.blockDeviceBytes(device.path), 5 << 20);
    assert.equal(libc.blockDeviceBytes(link), 5 << 20);
    failureOf("EXDEV", () => libc.blockDeviceBytes(escape));
  } finally {
    await Deno.remove(link);
    await Deno.remove(escape);
  }
  failureOf("EXDEV", () => libc.blockDeviceBytes("/dev/../etc/hostname"));
  failureOf("EXDEV", () => libc.blockDeviceBytes("/etc/hostname"));
  failureOf("ENOTBLK", () => libc.blockDeviceBytes("/dev/null"));
  failureOf("ENOENT", () => libc.blockDeviceBytes("/dev/no-such-device"));
});

Deno.test("an errno has its name, also behind causes", () => {
  assert.equal(errnoName(28), "ENOSPC");
  assert.equal(errnoName(9999), "errno 9999");
  assert.equal(errnoCode(new Error("a", { cause: new Error("b", { cause: { code: 1 } }) })), undefined);
  let seen: unknown;
  try {
    Deno.statSync("/no-such-file");
  } catch (error) {
    seen = new Error("outer", { cause: error });
  }
  assert.equal(errnoCode(seen), "ENOENT");
});
