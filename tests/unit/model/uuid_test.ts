import assert from "node:assert/strict";
import { formatUuid, isUuid } from "../../../lib/model/uuid.ts";

Deno.test("16 bytes are written as a UUID in the one spelling that is accepted", () => {
  const bytes = Uint8Array.from({ length: 16 }, (_, index) => index * 17);
  assert.equal(formatUuid(bytes), "00112233-4455-6677-8899-aabbccddeeff");
  assert.ok(isUuid(formatUuid(bytes)));
});

Deno.test("other spellings are no UUIDs", () => {
  const spellings = [
    "",
    "00112233445566778899aabbccddeeff",
    "00112233-4455-6677-8899-AABBCCDDEEFF",
    "{00112233-4455-6677-8899-aabbccddeeff}",
    "00112233-4455-6677-8899-aabbccddeeff\n",
    "00112233-4455-6677-8899-aabbccddeefg",
  ];
  for (const text of spellings) assert.ok(!isUuid(text), text);
});
