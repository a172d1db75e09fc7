import assert from "node:assert/strict";
import { fuzzApi } from "../support/api_fuzz.ts";
import type { DrawnRequest } from "../support/openapi_arbitrary.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { until } from "../../scripts/lab/until.ts";
import { TestLab } from "./support/test_lab.ts";

const LARGEST_DISK_MIB = 4;
const MOST_BOOTS = 6;

/** What a creation needs to succeed, which chance does not bring about: a disk that can be made, and no network. */
function creatable(body: string, number: number): string {
  try {
    const options = JSON.parse(body);
    const osdisk = disk(`/vms/ds/fuzz${number}.qcow2`, { man: 1, prov: 1, size: LARGEST_DISK_MIB });
    return JSON.stringify({ ...options, host: "", vmdef: { ...options.vmdef, osdisk, disks: [], nets: [] } });
  } catch {
    return body; // not JSON, on purpose
  }
}

/** Keeps disks small and guests few, for the machine to survive, and lets every second creation get as far as storage. */
function tamer(): (request: DrawnRequest) => DrawnRequest | undefined {
  let boots = 0, creations = 0;
  return (request) => {
    const { operationId } = request.operation;
    if (operationId === "VmBoot" && ++boots > MOST_BOOTS) return undefined;
    let body = request.body?.replace(/"size":(\d+)/g, (whole, size) => {
      return Number(size) > LARGEST_DISK_MIB ? `"size":${LARGEST_DISK_MIB}` : whole;
    });
    if (operationId === "VmCreate" && body !== undefined && ++creations % 2 === 0) {
      body = creatable(body, creations);
    }
    return { ...request, body };
  };
}

Deno.test("5,000 random requests to the executable on a real host bring no defect and no stall", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using daemon = await LabDaemon.start(host, { args: ["--log-level", "warn"] });
  const known = [host.record.uuid];
  for (const name of ["one", "two", "three"]) {
    const osdisk = disk(`/vms/ds/${name}.qcow2`, { man: 1, prov: 1, size: 4 });
    known.push(
      await daemon.json<string>("POST", "/vms", { vmdef: { ...SMALL_VMDEF, name, osdisk }, host: "" }),
    );
  }
  const tally = await fuzzApi({
    // A redirection is an answer, too.
    send: (request) => fetch(request, { redirect: "manual" }),
    base: `http://${host.address}:8080`,
    runs: 5_000,
    known,
    tame: tamer(),
  });
  for (const status of [200, 201, 204, 400, 404, 422]) {
    assert.ok((tally.get(status) ?? 0) > 0, `no request was answered with ${status}: ${[...tally]}`);
  }
  const errors = daemon.process.output.split("\n").filter((line) => line.includes('"level":"error"'));
  assert.deepEqual(errors, []);
  assert.equal((await daemon.api.request("GET", "/readyz")).status, 200);
  const traces = ["find", "/vms", "-name", "*.tmp", "-o", "-path", "*/.journal/*"];
  // What was to be answered at once may still be going on.
  await until(
    "nothing to be left half done",
    async () => (await host.exec(traces)).trim() === "" || undefined,
    20_000,
  );
});
