import assert from "node:assert/strict";
import type { z } from "@hono/zod-openapi";
import type { HostSchema } from "../../../lib/api/schema_host.ts";
import type {
  MigrationInfoSchema,
  VmBootOptionsSchema,
  VmCreateOptionsSchema,
  VmdefSchema,
  VmDeleteOptionsSchema,
  VmMigrateOptionsSchema,
  VmRegisterOptionsSchema,
  VmruninfoSchema,
  VmSchema,
  VmShutdownOptionsSchema,
  VmUpdateOptionsSchema,
} from "../../../lib/api/schema_vm.ts";
import { VM_CREATE_EXAMPLE } from "../../../lib/api/vm_example.ts";
import type { Host } from "../../../lib/model/host.ts";
import type * as model from "../../../lib/model/vm.ts";
import { apiFixture } from "../../support/api_fixture.ts";

/** A type with nothing readonly, optional or null at any depth, so that only names and kinds of fields count. */
type Bare<T> = T extends readonly (infer E)[] ? Bare<E>[]
  : T extends object ? { -readonly [K in keyof T]-?: Bare<NonNullable<T[K]>> }
  : T;
type Same<A, B> = (<T>() => T extends Bare<A> ? 1 : 2) extends (<T>() => T extends Bare<B> ? 1 : 2) ? true
  : false;

/** Compiles only if each schema, as it is written in JSON, has exactly the fields of its model type. */
const SAME: readonly true[] = [
  true satisfies Same<z.input<typeof VmdefSchema>, model.Vmdef>,
  true satisfies Same<z.input<typeof VmSchema>, model.Vm>,
  true satisfies Same<z.input<typeof VmruninfoSchema>, model.Vmruninfo>,
  true satisfies Same<z.input<typeof VmCreateOptionsSchema>, model.VmCreateOptions>,
  true satisfies Same<z.input<typeof VmUpdateOptionsSchema>, model.VmUpdateOptions>,
  true satisfies Same<z.input<typeof VmDeleteOptionsSchema>, model.VmDeleteOptions>,
  true satisfies Same<z.input<typeof VmBootOptionsSchema>, model.VmBootOptions>,
  true satisfies Same<z.input<typeof VmShutdownOptionsSchema>, model.VmShutdownOptions>,
  true satisfies Same<z.input<typeof VmMigrateOptionsSchema>, model.VmMigrateOptions>,
  true satisfies Same<z.input<typeof VmRegisterOptionsSchema>, model.VmRegisterOptions>,
  true satisfies Same<z.input<typeof MigrationInfoSchema>, model.MigrationInfo>,
  true satisfies Same<
    Omit<
      z.input<typeof HostSchema>,
      "conditions" | "seen" | "api" | "storage" | "gone" | "runs" | "storageavailable"
    >,
    Host
  >,
];

Deno.test("schemas have the fields of the model's types, no more and no less", () => {
  assert.ok(SAME.every((same) => same));
});

interface Operation {
  operationId: string;
  responses: Record<string, unknown>;
}

async function openApi(): Promise<{ openapi: string; paths: Record<string, Record<string, Operation>> }> {
  return await (await apiFixture().call("GET", "/openapi.json")).json();
}

Deno.test("the OpenAPI document has every operation of the protocol, with its success", async () => {
  const { openapi, paths } = await openApi();
  assert.equal(openapi, "3.1.0");
  const found = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { operationId, responses }]) => {
      const successes = Object.keys(responses).filter((status) => status < "300");
      return [operationId, method.toUpperCase(), path, ...successes].join(" ");
    })
  );
  // Any change can be answered with 202, if the client prefers that.
  const contract = [
    "VmCreate POST /vms 200 201 202",
    "VmList GET /vms 200",
    "VmGet GET /vms/{uuid} 200",
    "VmUpdate PUT /vms/{uuid} 200 202 204",
    "VmDelete DELETE /vms/{uuid} 200 202 204",
    "VmRunstateGet GET /vms/{uuid}/runstate 200",
    "VmBoot POST /vms/{uuid}/runstate/boot 202 204",
    "VmShutdown DELETE /vms/{uuid}/runstate/boot 202 204",
    "VmPause POST /vms/{uuid}/runstate/pause 202 204",
    "VmResume DELETE /vms/{uuid}/runstate/pause 202 204",
    "VmMigrate POST /vms/{uuid}/runstate/migrate 200 202",
    "VmMigrateGet GET /vms/{uuid}/runstate/migrate 200",
    "VmMigrateAbort DELETE /vms/{uuid}/runstate/migrate 202 204",
    "VmRegister PUT /vms/{uuid}/register 200 201 202",
    "HostList GET /hosts 200",
    "HostGet GET /hosts/{uuid} 200",
  ];
  assert.deepEqual(contract.filter((operation) => !found.includes(operation)), []);
});

Deno.test("every reference in the OpenAPI document leads somewhere", async () => {
  const document = JSON.stringify(await openApi());
  const references = new Set(
    [...document.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name),
  );
  const { components } = JSON.parse(document);
  assert.ok(references.size > 10);
  assert.deepEqual([...references].filter((name) => !Object.hasOwn(components.schemas, name ?? "")), []);
});

Deno.test("what headers and cursors have to be is in the document, and every change has a key of its own for example", async () => {
  const { paths } = await openApi();
  const parameters = Object.values(paths).flatMap((item) => Object.values(item)).flatMap((operation) =>
    (operation as { parameters?: { name: string; schema: { pattern?: string; example?: string } }[] })
      .parameters ?? []
  );
  const of = (name: string) =>
    parameters.filter((parameter) => parameter.name === name).map(({ schema }) => schema);
  const keys = of("Idempotency-Key");
  assert.ok(keys.length > 5);
  assert.equal(new Set(keys.map(({ example }) => example)).size, keys.length);
  for (const { pattern = "", example = "" } of keys) {
    assert.match(example, new RegExp(pattern));
    for (const wrong of ["", "a b", "ä", "x".repeat(201)]) assert.doesNotMatch(wrong, new RegExp(pattern));
  }
  assert.deepEqual(new Set(of("cursor").map(({ pattern }) => pattern)), new Set(["^[A-Za-z0-9_-]+$"]));
});

Deno.test("the example of the documentation can be sent as it is", async () => {
  assert.equal((await apiFixture().call("POST", "/vms", VM_CREATE_EXAMPLE)).status, 201);
});

Deno.test("the documentation page shows every operation and shape, and loads nothing", async () => {
  const response = await apiFixture().call("GET", "/docs");
  assert.match(
    response.headers.get("content-security-policy") ?? "",
    /^default-src 'none'; style-src 'sha256-[^']+';/,
  );
  const page = await response.text();
  assert.doesNotMatch(page, />[^<]*Problemany|<\/a>any/);
  assert.match(page, /\$API\/vms/);
  for (const item of Object.values((await openApi()).paths)) {
    for (const { operationId } of Object.values(item)) {
      assert.ok(page.includes(`id="${operationId}"`), operationId);
    }
  }
  assert.doesNotMatch(page, /<script|<link|<img|src=|@import|url\(/i);
  const targets = [...page.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
  assert.deepEqual(targets.filter((id) => !page.includes(`id="${id}"`)), []);
});
