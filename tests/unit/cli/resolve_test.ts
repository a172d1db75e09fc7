import assert from "node:assert/strict";
import { resolve } from "../../../lib/cli/resolve.ts";
import { VirtxError } from "../../../lib/model/error.ts";

const ALL = [
  { uuid: "0b8b3f3a-5b0e-4c43-9b4e-0a4f6f3c2d11", name: "web" },
  { uuid: "0b8b3f3a-5b0e-4c43-9b4e-0a4f6f3c2d12", name: "web1" },
  { uuid: "1c000000-5b0e-4c43-9b4e-0a4f6f3c2d13", name: "web12" },
  { uuid: "2d000000-5b0e-4c43-9b4e-0a4f6f3c2d14", name: "db" },
  { uuid: "3e000000-5b0e-4c43-9b4e-0a4f6f3c2d15", name: "db" },
  { uuid: "4f000000-5b0e-4c43-9b4e-0a4f6f3c2d16", name: "1c00" },
];

function failure(word: string): VirtxError {
  try {
    resolve(word, ALL, "VM", { about: ({ uuid }) => uuid.slice(0, 2) });
  } catch (error) {
    assert.ok(error instanceof VirtxError);
    return error;
  }
  throw new Error(`${word} was resolved`);
}

Deno.test("a name, a UUID, and a beginning that only one has name it; the whole goes before beginnings", () => {
  const cases: [word: string, at: number][] = [
    ["web", 0],
    ["web1", 1],
    ["web12", 2],
    ["0B8B3F3A-5B0E-4C43-9B4E-0A4F6F3C2D12", 1],
    ["2d00", 3],
    ["1c00", 5],
    ["1c000", 2],
  ];
  for (const [word, at] of cases) assert.equal(resolve(word, ALL, "VM"), ALL[at], word);
});

Deno.test("what fits several is refused, with all that it could be", () => {
  const error = failure("db");
  assert.equal(error.kind, "conflict");
  assert.equal(
    error.message,
    '"db" could be any of 2 VMs; use more of the name, or the UUID:\n' +
      "  2d000000-5b0e-4c43-9b4e-0a4f6f3c2d14  db  2d\n  3e000000-5b0e-4c43-9b4e-0a4f6f3c2d15  db  3e",
  );
  assert.match(failure("0b8b").message, /any of 2 VMs/);
});

Deno.test("where several have a name, host/name and its beginnings name one, and are listed", () => {
  const hosts = ["a", "a", "a", "virt1", "virt2", "virt2"];
  const path = (one: (typeof ALL)[number]) => `${hosts[ALL.indexOf(one)]}/${one.name}`;
  const find = (word: string) => resolve(word, ALL, "VM", { path });
  assert.equal(find("virt2/db"), ALL[4]);
  assert.equal(find("virt1/"), ALL[3]);
  assert.equal(find("a/web"), ALL[0]);
  assert.throws(() => find("virt"), { kind: "not_found" });
  assert.throws(() => find(""), { kind: "conflict" });
  assert.throws(() => find("db"), {
    message: '"db" could be any of 2 VMs; use more of the name, or one of these:\n' +
      "  2d000000-5b0e-4c43-9b4e-0a4f6f3c2d14  virt1/db\n  3e000000-5b0e-4c43-9b4e-0a4f6f3c2d15  virt2/db",
  });
  const named = { uuid: "5a000000-5b0e-4c43-9b4e-0a4f6f3c2d17", name: "virt2/db" };
  assert.equal(resolve("virt2/db", [...ALL, named], "VM", { path: (one) => `virt2/${one.name}` }), named);
});

Deno.test("what fits none is not found; too few digits are no beginning of a UUID", () => {
  assert.deepEqual([failure("x").kind, failure("x").message], ["not_found", 'There is no VM "x"']);
  assert.equal(failure("4f0").kind, "not_found");
  assert.equal(failure("").kind, "conflict");
});

Deno.test("what has no name but its id is listed by that, once", () => {
  const ids = ["1111-a", "1111-b"].map((id) => ({ uuid: id, name: id }));
  assert.throws(() => resolve("1111", ids, "operation", { about: () => "start of web1, running" }), {
    message: '"1111" could be any of 2 operations; use more of it:\n' +
      "  1111-a  start of web1, running\n  1111-b  start of web1, running",
  });
});
