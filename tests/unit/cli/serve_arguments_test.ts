import assert from "node:assert/strict";
import { parseServeArguments } from "../../../lib/cli/serve_arguments.ts";
import { SETTING_NAMES, settingOf, spellings } from "../../../lib/daemon/settings.ts";

function flagsOf(...args: string[]) {
  const request = parseServeArguments(args);
  assert.ok(request.kind === "serve" || request.kind === "check", JSON.stringify(request));
  return {
    kind: request.kind,
    values: Object.fromEntries(request.flags.values),
    config: request.flags.config,
  };
}

function mistakes(...args: string[]): readonly string[] {
  const request = parseServeArguments(args);
  assert.ok(request.kind === "mistake", JSON.stringify(request));
  return request.messages;
}

Deno.test("every setting has a flag, with its value behind it or behind an equals sign", () => {
  for (const name of SETTING_NAMES) {
    const { flag } = spellings(name);
    if (settingOf(name).type.placeholder === "") {
      assert.deepEqual(flagsOf(flag).values, { [name]: "true" });
    } else {
      assert.deepEqual(flagsOf(flag, "a=b").values, { [name]: "a=b" });
      assert.deepEqual(flagsOf(`${flag}=-x`).values, { [name]: "-x" });
    }
  }
});

Deno.test("a repeated list grows, of anything else the last one counts", () => {
  assert.deepEqual(flagsOf("--listen", "a", "--listen=b,c").values, { listen: "a,b,c" });
  assert.deepEqual(flagsOf("--log-level", "a", "--log-level", "b").values, { logLevel: "b" });
});

Deno.test("--config and --check-config are told apart from settings", () => {
  assert.deepEqual(flagsOf("--check-config", "--config", "/x"), { kind: "check", values: {}, config: "/x" });
  assert.deepEqual(flagsOf(), { kind: "serve", values: {}, config: undefined });
});

Deno.test("help and version win over what follows", () => {
  for (const flag of ["-h", "--help"]) assert.deepEqual(parseServeArguments([flag, "x"]), { kind: "help" });
  for (const flag of ["-V", "--version"]) assert.deepEqual(parseServeArguments([flag]), { kind: "version" });
});

Deno.test("all mistakes are told at once, with what was probably meant", () => {
  assert.deepEqual(mistakes("--listn=x", "web1", "--insecure=no", "-x", "--log-level"), [
    'there is no flag --listn (did you mean "--listen"?)',
    'the argument "web1" is not a flag',
    "--insecure takes no value",
    "there is no flag -x",
    "--log-level needs a value",
  ]);
});
