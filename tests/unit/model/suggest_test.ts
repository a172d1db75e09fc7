import assert from "node:assert/strict";
import { didYouMean, suggest } from "../../../lib/model/suggest.ts";

Deno.test("the nearest candidate is suggested, if it is near", () => {
  const candidates = ["listen", "log-level", "log-format"];
  assert.equal(suggest("listne", candidates), "listen");
  assert.equal(suggest("loglevel", candidates), "log-level");
  assert.equal(suggest("log-fromat", candidates), "log-format");
  assert.equal(suggest("socket", candidates), undefined);
  assert.equal(suggest("x", candidates), undefined);
});

Deno.test("else the first candidate is suggested that the word is the beginning of", () => {
  const candidates = ["virtio-blk", "virtio-scsi", "sata"];
  assert.equal(suggest("virtio", candidates), "virtio-blk");
  assert.equal(suggest("virtio-s", candidates), "virtio-scsi");
  assert.equal(suggest("vi", candidates), undefined);
});

Deno.test("a suggestion reads as the end of a sentence, and is nothing when there is none", () => {
  assert.equal(didYouMean("listn", ["listen"]), ' (did you mean "listen"?)');
  assert.equal(didYouMean("quorum", ["listen"]), "");
});

Deno.test("a word of any length is compared quickly", () => {
  assert.equal(suggest("x".repeat(10_000_000), ["listen", "log-level"]), undefined);
});
