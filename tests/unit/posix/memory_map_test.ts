import assert from "node:assert/strict";
import { Libc } from "../../../lib/posix/libc.ts";
import { programRanges } from "../../../lib/posix/memory_map.ts";

const MAPS = `\
7ffff000-7ffff100 rw-p 00000000 00:00 0 
10000000-10002000 r--p 00000000 fe:00 77                     /opt/a program
10002000-10009000 r-xp 00002000 fe:00 77                     /opt/a program
10009000-1000a000 rw-p 00009000 fe:00 77                     /opt/a program
1000a000-1000b000 r--p 0000a000 fe:00 77                     /opt/a program
20000000-20001000 r-xp 00000000 fe:00 78                     /lib/library.so
30000000-30001000 r-xp 00003000 fe:00 77                     /opt/a program
ffffffff600000-ffffffff601000 --xp 00000000 00:00 0          [vsyscall]
`;

Deno.test("a program's code and first constants can be forgotten; what was relocated or written, and libraries, cannot", () => {
  assert.deepEqual(programRanges(MAPS, "/opt/a program"), [
    { begin: 0x10000000n, bytes: 0x2000n },
    { begin: 0x10002000n, bytes: 0x7000n },
    { begin: 0x30000000n, bytes: 0x1000n },
  ]);
  assert.deepEqual(programRanges(MAPS, "/opt/another"), []);
});

Deno.test("forgetting the program makes the process smaller, and it runs on", async () => {
  using libc = Libc.open();
  const fileKiB = () => Number(/^RssFile:\s+(\d+)/m.exec(libc.readKernelFile("/proc/self/status"))?.[1]);
  const before = fileKiB();
  libc.forgetProgram(await Deno.realPath(Deno.execPath()));
  assert.ok(fileKiB() < before, `${fileKiB()} KiB is not less than ${before} KiB`);
  await libc.trimMemory();
});
