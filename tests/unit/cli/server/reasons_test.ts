import assert from "node:assert/strict";
import { reportFailure } from "../../../../lib/cli/failure.ts";
import { Cluster } from "../../../../lib/cli/server/cluster.ts";
import { Server } from "../../../../lib/cli/server/server.ts";
import { Terminal } from "../../../../lib/cli/terminal.ts";
import { TempDir } from "../../../support/temp_dir.ts";

/** What a user reads, and the exit code, where a list of VMs is asked for at an endpoint. */
async function told(endpoint: string): Promise<readonly [code: number, firstLine: string]> {
  let text = "";
  const stream = {
    isTerminal: () => false,
    writeSync(bytes: Uint8Array) {
      text += new TextDecoder().decode(bytes);
      return bytes.length;
    },
  };
  const err = new Terminal({ stream, colour: false, size: () => ({ columns: 0, rows: 0 }) });
  using server = new Server({ endpoints: [endpoint], signal: new AbortController().signal, headers: {} });
  try {
    await new Cluster(server).vms();
  } catch (error) {
    const code = reportFailure(error, "virtx", err);
    return [code, (text.split("\n")[0] ?? "").replaceAll(endpoint, "HERE")];
  }
  throw new Error("it has answered");
}

/** A server of HTTP that is no virtxd. */
function web(answer: () => Response): AsyncDisposable & { readonly at: string } {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);
  return {
    at: `127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** A server that says these bytes to the first that calls, and hangs up. */
function speaking(bytes: Uint8Array<ArrayBuffer>): AsyncDisposable & { readonly at: string } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const done = (async () => {
    using connection = await listener.accept();
    await connection.read(new Uint8Array(4096));
    await connection.write(bytes);
  })();
  return {
    at: `127.0.0.1:${listener.addr.port}`,
    async [Symbol.asyncDispose]() {
      await done;
      listener.close();
    },
  };
}

Deno.test("what is wrong with a server is told in words, whoever is there in its place", async () => {
  await using dir = await TempDir.create();
  await Deno.writeTextFile(dir.at("file"), "");
  const gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = gone.addr;
  gone.close();
  const none = "virtx: No server answers at HERE: ";
  const cases: [string, string][] = [
    [`http://127.0.0.1:${port}`, `${none}Connection refused, nobody listens there`],
    [`unix:${dir.at("nowhere.sock")}`, `${none}there is no such socket`],
    [`unix:${dir.at("file")}`, `${none}Connection refused, nobody listens there`],
    ["http://no-such-host.invalid:8080", `${none}the name is not known (DNS)`],
    ["http://127.0.0.1:9", `${none}the port is one that no HTTP client asks (Fetch standard, bad ports)`],
  ];
  for (const [endpoint, text] of cases) assert.deepEqual(await told(endpoint), [69, text]);
});

Deno.test("what answers but is no virtxd is told apart from a server that is away", async () => {
  const foreign = "virtx: What answers at HERE is no virtxd: ";
  {
    await using page = web(() => new Response("<html>It works!</html>"));
    assert.deepEqual(await told(`http://${page.at}`), [69, `${foreign}something else than JSON`]);
    assert.deepEqual(await told(`https://${page.at}`), [
      69,
      "virtx: No server answers at HERE: it does not speak TLS: try http://",
    ]);
  }
  {
    await using missing = web(() => new Response("<html>\n<title>404</title>", { status: 404 }));
    assert.deepEqual(await told(`http://${missing.at}`), [69, `${foreign}HTTP status 404: <html>`]);
  }
  {
    await using other = web(() => Response.json({ hello: "world" }));
    const [code, text] = await told(`http://${other.at}`);
    assert.equal(code, 69);
    assert.match(text, /The server's answer is not as expected: .* or not virtxd at all\?$/);
  }
  {
    await using ssh = speaking(new TextEncoder().encode("SSH-2.0-OpenSSH_9.2\r\n"));
    assert.deepEqual(await told(`http://${ssh.at}`), [
      69,
      "virtx: No server answers at HERE: it does not speak HTTP",
    ]);
  }
  {
    // A TLS alert (RFC 8446 §6): what a server of TLS says to plain HTTP.
    await using tls = speaking(Uint8Array.from([21, 3, 3, 0, 2, 2, 10]));
    assert.deepEqual(await told(`http://${tls.at}`), [
      69,
      "virtx: No server answers at HERE: it does not speak HTTP",
    ]);
  }
  {
    await using shut = speaking(new Uint8Array());
    assert.deepEqual(await told(`http://${shut.at}`), [
      69,
      "virtx: No server answers at HERE: the server hung up",
    ]);
  }
});
