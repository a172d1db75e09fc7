import fc from "fast-check";

/**
 * Requests for an API, drawn from nothing but its OpenAPI document: sound ones by schema and example, and the same broken in
 * the ways that clients, bugs and attackers break them.
 */

/** The part of OpenAPI 3.1 and JSON Schema that is understood here. */
export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> };
}

export interface OperationObject {
  readonly operationId: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly schema: JsonSchema;
  }[];
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { schema: JsonSchema; example?: unknown }>>;
  };
  readonly responses: Readonly<Record<string, unknown>>;
}

export interface JsonSchema {
  readonly $ref?: string;
  readonly allOf?: readonly JsonSchema[];
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly example?: unknown;
  readonly items?: JsonSchema;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
}

/** A request to be. {@link KNOWN} in its path stands for the UUID of something that exists. */
export interface DrawnRequest {
  readonly operation: OperationObject;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** Placeholder for a UUID that the sender knows; which of them is up to the sender. */
export const KNOWN = "{known}";

const JSON_TYPE = "application/json";

/** One request for any operation of the document, more often for one that takes a body. */
export function drawnRequest(document: OpenApiDocument): fc.Arbitrary<DrawnRequest> {
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      weight: operation.requestBody ? 4 : 1,
      arbitrary: requestFor(document, path, method.toUpperCase(), operation),
    }))
  );
  return fc.oneof(...operations);
}

function requestFor(
  document: OpenApiDocument,
  path: string,
  method: string,
  operation: OperationObject,
): fc.Arbitrary<DrawnRequest> {
  const query = (operation.parameters ?? []).filter((parameter) => parameter.in === "query");
  const headers = (operation.parameters ?? []).filter((parameter) => parameter.in === "header");
  return fc.record({
    uuid: fc.oneof({ weight: 6, arbitrary: fc.constant(KNOWN) }, fc.uuid(), textual(junk)),
    query: queryString(document, query),
    body: method === "GET" ? fc.constant(undefined) : bodyText(document, operation),
    type: fc.oneof(
      { weight: 12, arbitrary: fc.constant(JSON_TYPE) },
      fc.constantFrom("text/plain", "", `${JSON_TYPE};q=1`),
    ),
    extra: fc.oneof({ weight: 8, arbitrary: fc.constant({}) }, strangeHeaders, ...headers.map(drawnHeader)),
  }).map(({ uuid, query, body, type, extra }) => ({
    operation,
    method,
    path: path.replace("{uuid}", uuid === KNOWN ? KNOWN : encodeURIComponent(uuid)) + query,
    headers: { ...(type !== "" && { "content-type": type }), ...extra },
    body,
  }));
}

const strangeHeaders: fc.Arbitrary<Record<string, string>> = fc.constantFrom(
  { "x-virtx-loop": "1" },
  { "x-request-id": "../../<b>" },
  { "if-none-match": '*, W/"x"' },
  { "origin": "http://evil.example" },
  { "accept": "application/xml" },
  { "x-forwarded-for": "1.2.3.4, unknown" },
);

/** A header as documented: its example, or any text that fetch lets through. */
function drawnHeader(
  { name, schema }: { readonly name: string; readonly schema: JsonSchema },
): fc.Arbitrary<Record<string, string>> {
  const text = fc.string({ maxLength: 20 }).map((value) => value.trim());
  return fc.oneof({ weight: 3, arbitrary: fc.constant(String(schema.example ?? "")) }, text).map((value) => ({
    [name]: value,
  }));
}

function queryString(
  document: OpenApiDocument,
  parameters: readonly { readonly name: string; readonly schema: JsonSchema }[],
): fc.Arbitrary<string> {
  const known = parameters.map(({ name, schema }) =>
    fc.oneof({ weight: 6, arbitrary: valid(document, schema) }, junk).map((
      value,
    ): [string, string] => [name, asText(value)])
  );
  const unknown = fc.tuple(fc.string({ maxLength: 10 }), fc.string({ maxLength: 10 }));
  const pairs = known.length === 0
    ? fc.oneof(
      { weight: 9, arbitrary: fc.constant<[string, string][]>([]) },
      fc.array(unknown, { maxLength: 2 }),
    )
    : fc.array(fc.oneof({ weight: 12, arbitrary: fc.oneof(...known) }, unknown), { maxLength: 4 });
  return pairs.map((list) => list.length === 0 ? "" : `?${new URLSearchParams(list)}`);
}

/** A body as text: sound, with something in it broken, or cut off. */
function bodyText(document: OpenApiDocument, operation: OperationObject): fc.Arbitrary<string | undefined> {
  const content = operation.requestBody?.content[JSON_TYPE];
  if (content === undefined) return fc.constantFrom(undefined, "null", "{}", "[");
  const example = fc.constant(content.example ?? {});
  const sound = fc.oneof(
    example,
    example.chain((value) => variation(document, content.schema, value)),
    valid(document, content.schema),
  );
  const text = (value: unknown) => JSON.stringify(value);
  return fc.oneof(
    { weight: 6, arbitrary: sound.map(text) },
    { weight: 6, arbitrary: sound.chain(broken).map(text) },
    {
      weight: 1,
      arbitrary: fc.tuple(sound.map(text), fc.nat()).map(([whole, at]) =>
        whole.slice(0, at % (whole.length + 1))
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(undefined, "null", "[".repeat(20_000), '{"__proto__":{}}', "\u0000"),
    },
  );
}

/** A value with one of its fields drawn anew, by the schema. */
function variation(document: OpenApiDocument, schema: JsonSchema, value: unknown): fc.Arbitrary<unknown> {
  const { properties } = resolve(document, schema);
  if (properties === undefined || !isObject(value) || Object.keys(properties).length === 0) {
    return valid(document, schema);
  }
  return fc.constantFrom(...Object.entries(properties)).chain(([name, field]) =>
    fc.oneof(variation(document, field, value[name]), valid(document, field)).map((drawn) => ({
      ...value,
      [name]: drawn,
    }))
  );
}

/** A value with something somewhere in it that does not belong there. */
function broken(value: unknown): fc.Arbitrary<unknown> {
  const here = fc.oneof(junk, fc.dictionary(fc.string({ maxLength: 8 }), junk, { maxKeys: 3 }));
  if (Array.isArray(value)) {
    const grown = fc.constantFrom(2, 30).map((times) => Array.from({ length: times }, () => value).flat());
    if (value.length === 0) return fc.oneof(here, fc.array(junk, { maxLength: 3 }));
    const inside = fc.nat(value.length - 1).chain((at) =>
      broken(value[at]).map((item) => value.map((other, position) => position === at ? item : other))
    );
    return fc.oneof({ weight: 4, arbitrary: inside }, grown, here);
  }
  if (!isObject(value)) return here;
  const names = Object.keys(value);
  const added = fc.tuple(fc.string({ maxLength: 8 }), junk).map(([name, item]) => ({
    ...value,
    [name]: item,
  }));
  if (names.length === 0) return fc.oneof(added, here);
  const inside = fc.constantFrom(...names).chain((name) =>
    broken(value[name]).map((item) => ({ ...value, [name]: item }))
  );
  const without = fc.constantFrom(...names).map((name) =>
    Object.fromEntries(Object.entries(value).filter(([other]) => other !== name))
  );
  return fc.oneof({ weight: 8, arbitrary: inside }, { weight: 2, arbitrary: without }, added, here);
}

/** Values that programs stumble over. */
const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    "",
    -1,
    0.5,
    1e308,
    2 ** 31,
    2 ** 53,
    "\u0000",
    "\ud800",
    "../../etc/passwd",
    "<a>&b;",
  ),
  fc.constantFrom<unknown>(
    "x".repeat(5000),
    [[[[]]]],
    { toString: 1 },
    "json:{}",
    "/vms/ds/ci/x.qcow2",
    "%s%n",
    "NaN",
    "é😀",
  ),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.double(),
  fc.integer(),
);

function textual(values: fc.Arbitrary<unknown>): fc.Arbitrary<string> {
  return values.map(asText).filter((text) => text !== "" && text !== "." && text !== "..");
}

/** A lone surrogate cannot be written into a URL. */
function asText(value: unknown): string {
  return (typeof value === "string" ? value : JSON.stringify(value) ?? "").toWellFormed();
}

/** A value that the schema lets through. */
function valid(document: OpenApiDocument, given: JsonSchema): fc.Arbitrary<unknown> {
  const schema = resolve(document, given);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const types = [schema.type ?? "object"].flat();
  return fc.oneof(...types.map((type) => validOf(document, schema, type)));
}

function validOf(document: OpenApiDocument, schema: JsonSchema, type: string): fc.Arbitrary<unknown> {
  switch (type) {
    case "null":
      return fc.constant(null);
    case "boolean":
      return fc.boolean();
    case "integer":
    case "number": {
      const min = schema.minimum ?? -1000;
      const max = schema.maximum ?? Number.MAX_SAFE_INTEGER;
      return fc.oneof(
        fc.constantFrom(min, max),
        fc.integer({ min, max: Math.min(max, min + 100) }),
        fc.integer({ min, max }),
      );
    }
    case "string":
      if (schema.pattern !== undefined) return fc.stringMatching(new RegExp(schema.pattern));
      return fc.string({ minLength: schema.minLength ?? 0, maxLength: schema.maxLength ?? 40 });
    case "array":
      return fc.array(valid(document, schema.items ?? {}), { maxLength: Math.min(3, schema.maxItems ?? 3) });
    default: {
      const fields = Object.entries(schema.properties ?? {}).map((
        [name, field],
      ) => [name, valid(document, field)]);
      const record: Record<string, fc.Arbitrary<unknown>> = Object.fromEntries(fields);
      return fc.record(record, { requiredKeys: [...schema.required ?? []] });
    }
  }
}

/** The schema itself, without references. */
function resolve(document: OpenApiDocument, schema: JsonSchema): JsonSchema {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.slice(schema.$ref.lastIndexOf("/") + 1);
    return resolve(document, document.components.schemas[name] ?? {});
  }
  if (schema.allOf === undefined) return schema;
  const { allOf, ...rest } = schema;
  return Object.assign({}, ...allOf.map((part) => resolve(document, part)), rest);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
