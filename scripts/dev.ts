/**
 * `deno task dev [flags of virtxd]`: runs the daemon from source against libvirt's test driver, and again whenever the
 * source changes. Its shared storage is .lab/dev; the hypervisor is forgotten at each start. Unless told otherwise it
 * listens at 127.0.0.1:8080.
 */
import { inBackground } from "../lib/model/background.ts";
import { ROOT } from "./paths.ts";
import { print } from "./progress.ts";

const STORAGE = `${ROOT}/.lab/dev`;
/** An editor saves several files, or one in several steps. */
const SETTLE_MS = 200;

function start(args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--allow-all", `${ROOT}/main.ts`],
      ...[
        "--libvirt-uri",
        "test:///default",
        "--serf-rpc",
        "none",
        "--socket",
        `${STORAGE}/virtxd.sock`,
        ...(Deno.args.includes("--listen") ? [] : ["--listen", "127.0.0.1:8080"]),
        "--insecure",
        "--log-level",
        "debug",
      ],
      ...args,
    ],
    env: { VIRTX_TEST_ROOT: STORAGE },
  }).spawn();
}

await Deno.mkdir(`${STORAGE}/ds`, { recursive: true });
let daemon = start(Deno.args);
let timer: ReturnType<typeof setTimeout> | undefined;
for await (const _change of Deno.watchFs([`${ROOT}/main.ts`, `${ROOT}/lib`])) {
  clearTimeout(timer);
  timer = setTimeout(() => inBackground(startAgain()), SETTLE_MS);
}

async function startAgain(): Promise<void> {
  print("-- the source has changed: starting again\n");
  try {
    daemon.kill("SIGTERM");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended by itself
  }
  await daemon.status;
  daemon = start(Deno.args);
}
