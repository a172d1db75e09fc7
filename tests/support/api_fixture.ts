import { type Api, type ApiOptions, createApp } from "../../lib/api/app.ts";
import { Inventory } from "../../lib/cluster/inventory.ts";
import { type LogFields, type Logger, type LogLevel, silentLogger } from "../../lib/model/log.ts";
import { Operations } from "../../lib/vm/operations.ts";
import { MemoryVms } from "./memory_vms.ts";
import { hostEntry, numberedUuid } from "./vm_info.ts";

/** This host. */
export const HERE = numberedUuid(1000);

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** Keeps what is logged. */
export function recordingLogger(lines: LogLine[], common: LogFields = {}): Logger {
  const at = (level: LogLevel) => (message: string, fields: LogFields = {}) => {
    lines.push({ level, message, fields: { ...common, ...fields } });
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    defect: (message, error, fields) =>
      at("error")(message, { ...fields, error: error instanceof Error ? error.stack : String(error) }),
    with: (fields) => recordingLogger(lines, { ...common, ...fields }),
  };
}

/** The API over an inventory and use cases in memory, and what tests turn and look at. */
export interface ApiFixture {
  readonly app: Api;
  readonly vms: MemoryVms;
  readonly operations: Operations;
  readonly inventory: Inventory;
  readonly lines: LogLine[];
  /** Sends a request to the API itself; a body is sent as JSON. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
}

/** Of operations: the API's own lines, which are recorded, tell of their defects, too. */
const silent: Logger = { ...silentLogger, defect() {} };

export function apiFixture(overrides: Partial<ApiOptions> = {}): ApiFixture {
  const { hostUuid = HERE } = overrides;
  const inventory = new Inventory();
  inventory.putHost(hostEntry({ uuid: hostUuid }));
  const vms = new MemoryVms(inventory, hostUuid);
  const lines: LogLine[] = [];
  let level: LogLevel = "info";
  const log = recordingLogger(lines);
  const operations = overrides.operations ??
    new Operations({ host: hostUuid, clock: Date.now, log: silent });
  const app = createApp({
    vms,
    operations,
    inventory,
    hostUuid,
    stale: () => undefined,
    readiness: () => ({ ready: true, reasons: [], degraded: [] }),
    log,
    logLevel: { get: () => level, set: (wanted) => level = wanted },
    version: "0.0.0-test",
    clock: Date.now,
    ...overrides,
  });
  const call: ApiFixture["call"] = async (method, path, body, headers = {}) =>
    await app.fetch(
      new Request(`http://localhost:8080${path}`, {
        method,
        headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    );
  return { app, vms, operations, inventory, lines, call };
}
