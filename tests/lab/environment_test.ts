import assert from "node:assert/strict";
import { DaemonProcess } from "../support/daemon_process.ts";
import { EXECUTABLE } from "./support/lab_daemon.ts";
import { run } from "../support/run.ts";

const NOWHERE = "http://127.0.0.1:1";

/** Each is a command that runs another in an environment that is not as usual. */
const ENVIRONMENTS: Readonly<Record<string, readonly string[]>> = {
  "proxies": [
    "env",
    ...["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
      .map((name) => `${name}=${NOWHERE}`),
  ],
  "settings of the runtime": [
    "env",
    "DENO_SERVE_ADDRESS=tcp:127.0.0.1:1",
    "DENO_TRUST_PROXY_HEADERS=1",
    "DENO_CERT=/nonexistent",
    "DENO_DIR=/nonexistent",
    "DENO_TLS_CA_STORE=bogus",
    "DENO_V8_FLAGS=--bogus",
    "DENO_AUDIT_PERMISSIONS=/nonexistent/audit",
    "NODE_EXTRA_CA_CERTS=/nonexistent",
    "NODE_OPTIONS=--bogus",
    "OTEL_DENO=true",
    "SSL_CERT_FILE=/nonexistent",
  ],
  "no home": ["env", "-u", "HOME", "-u", "XDG_CACHE_HOME", "LANG=C", "LC_ALL=C"],
  "places that cannot be written": [
    "env",
    ...["HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"].map((name) => `${name}=/proc`),
  ],
  "a small stack": ["sh", "-c", 'ulimit -S -s 128; exec "$@"', "sh"],
  "umask 077": ["sh", "-c", 'umask 077; exec "$@"', "sh"],
  "umask 0": ["sh", "-c", 'umask 0; exec "$@"', "sh"],
  "no standard input": ["sh", "-c", 'exec "$@" <&-', "sh"],
};

for (const [what, under] of Object.entries(ENVIRONMENTS)) {
  Deno.test(`${what}: daemon and client work as ever`, async () => {
    await Deno.mkdir("/run/virtxd", { recursive: true }); // where the executable may write
    const path = await Deno.makeTempDir({ dir: "/run/virtxd", prefix: "test-" });
    try {
      await Deno.mkdir(`${path}/ds`);
      const socket = `${path}/made/sock`;
      await using daemon = DaemonProcess.spawn({ path }, ["--socket", socket], under, EXECUTABLE);
      const address = await daemon.ready();
      assert.equal(new URL(address).hostname, "127.0.0.1");
      for (const server of [address, `unix:${socket}`]) {
        const [program = "", ...words] = [
          ...under,
          EXECUTABLE,
          "vm",
          "list",
          "-o",
          "name",
          "--server",
          server,
        ];
        assert.equal((await run(program, ...words)).trim(), "test");
      }
      assert.equal(((await Deno.stat(socket)).mode ?? 0) & 0o777, 0o660);
      assert.equal(((await Deno.stat(`${path}/made`)).mode ?? 0) & 0o777, 0o750);
      daemon.kill("SIGTERM");
      assert.equal(await daemon.ended(), 0);
    } finally {
      await Deno.remove(path, { recursive: true });
    }
  });
}
