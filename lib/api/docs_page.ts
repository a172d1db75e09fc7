import { createHash } from "node:crypto";
import type { OpenApiDocument } from "./endpoints.ts";
import { type Html, html, raw } from "./html.ts";

type PathItem = NonNullable<OpenApiDocument["paths"]>[string];
type Operation = NonNullable<PathItem["get"]>;
type Schema = NonNullable<NonNullable<OpenApiDocument["components"]>["schemas"]>[string];
type Responses = NonNullable<Operation["responses"]>;

/** The documentation as a page, and the policy that it is served under (Content-Security-Policy, level 3). */
export interface DocsPage {
  readonly page: string;
  readonly policy: string;
}

const METHODS = ["get", "post", "put", "delete"] as const;

/** Where the examples send their requests. */
const BASE = "$API";

const STYLE = `
:root { color-scheme: light dark; --line: #8885; --soft: #8882; --accent: #0a7d5a; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; display: grid; grid-template-columns: 21rem minmax(0, 60rem); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1rem; box-sizing: border-box;
  border-right: 1px solid var(--line); font-size: 13px; }
nav a { display: block; color: inherit; text-decoration: none; padding: .1rem 0; }
main { padding: 1rem 2rem 6rem; }
h2 { margin-top: 3rem; border-bottom: 2px solid var(--accent); }
section { margin: 1.5rem 0; padding-top: .5rem; }
h3 { margin: 0; font-size: 1rem; font-weight: 600; }
p { margin: .4rem 0; }
code, pre, .path { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .7rem; overflow: auto; border-radius: 4px; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-size: 14px; }
td { border-top: 1px solid var(--line); padding: .25rem .8rem .25rem 0; vertical-align: top; }
td:first-child { white-space: nowrap; width: 12rem; }
b.method { display: inline-block; min-width: 4.2em; text-transform: uppercase; font: 600 12px ui-monospace, monospace;
  color: var(--accent); }
@media (max-width: 60rem) { body { display: block; } nav { position: static; height: auto; border: 0; } }
`;

/** Renders an OpenAPI document as one page without scripts, on which nothing comes from elsewhere. */
export function renderDocs(document: OpenApiDocument): DocsPage {
  const operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.flatMap((method) => item[method] === undefined ? [] : [{ path, method, operation: item[method] }])
  );
  const tags = [...new Set(operations.flatMap(({ operation }) => operation.tags ?? []))];
  const tagged = (tag: string) => operations.filter(({ operation }) => operation.tags?.includes(tag));
  const schemas = Object.entries(document.components?.schemas ?? {}).toSorted(([a], [b]) => a < b ? -1 : 1);
  const { title, version, description } = document.info;
  const page = html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width">
        <title>${title} ${version}</title>
        <style>${raw(STYLE)}</style>
      </head>
      <body>
        <nav><b>${title} ${version}</b>
    ${tags.map((tag) => html`<p><b>${tag}</b></p>${tagged(tag).map(navigation)}`)}
    <p><b>Shapes</b></p>${schemas.map(([name]) => html`<a href="#shape-${name}">${name}</a>`)}
        </nav>
        <main><h1>${title} ${version}</h1><p>${description ?? ""}</p>
    <p>The same for programs: <a href="openapi.json">openapi.json</a></p>
    <p>In the examples <code>API</code> is the address of any host: <code>API=http://virt1:8080</code>. On a host itself
    the socket will do: <code>alias curl="curl --unix-socket /run/virtxd/virtxd.sock" API=http://localhost</code></p>
    ${tags.map((tag) => html`<h2>${tag}</h2>${tagged(tag).map(section)}`)}
    <h2>Shapes</h2>
    ${schemas.map(([name, schema]) =>
      html`<section id="shape-${name}"><h3>${name}</h3>${shape(schema)}</section>`
    )}
        </main>
      </body>
    </html>
  `;
  const hash = createHash("sha256").update(STYLE).digest("base64");
  const policy =
    `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  return { page: String(page), policy };
}

interface Described {
  readonly path: string;
  readonly method: typeof METHODS[number];
  readonly operation: Operation;
}

function navigation({ method, path, operation }: Described): Html {
  return html`
    <a href="#${operation.operationId}"><b class="method">${method}</b> <span class="path">${path}</span></a>
  `;
}

function section({ path, method, operation }: Described): Html {
  const { operationId, summary, description, parameters = [], requestBody, responses = {} } = operation;
  const body = requestBody && "content" in requestBody ? requestBody.content["application/json"] : undefined;
  const required = requestBody && "required" in requestBody && requestBody.required === true;
  return html`
    <section id="${operationId}">
        <h3><b class="method">${method}</b> <span class="path">${path}</span></h3>
    <p><b>${summary}</b> (${operationId})</p>
        ${paragraphs(description ?? "")}
        <pre>${curl(method, path, body?.example)}</pre>
        <table>
        ${parameters.map((parameter) =>
          "name" in parameter
            ? html`
              <tr>
                <td><code>${parameter.name}</code></td>
                <td>${typeOf(parameter.schema)}</td>
                <td>${parameter.description ?? descriptionOf(parameter.schema)}</td>
              </tr>
            `
            : ""
        )}
        ${body?.schema
          ? html`
            <tr>
              <td>body</td>
              <td>${typeOf(body.schema)}</td>
              <td>${required ? "" : "may be left out"}</td>
            </tr>
          `
          : ""}
        ${answers(responses)}
        </table></section>
  `;
}

function answers(responses: Responses): Html[] {
  return Object.entries(responses).map(([status, response]) => {
    const [content] = Object.values(response.content ?? {}) as { schema?: Schema }[];
    return html`
      <tr>
        <td>${status}</td>
        <td>${typeOf(content?.schema)}</td>
        <td>${response.description}</td>
      </tr>
    `;
  });
}

function shape(schema: Schema): Html {
  if ("$ref" in schema) return typeOf(schema);
  const properties = Object.entries(schema.properties ?? {});
  return html`
    <p>${schema.description ?? ""}</p>
    <table>${properties.map(([name, field]) =>
      html`
        <tr id="${name}">
          <td><code>${name}</code>${schema.required?.includes(name) ? "" : "?"}</td>
          <td>${typeOf(field)}</td>
          <td>${descriptionOf(field)}</td>
        </tr>
      `
    )}</table>
  `;
}

/** Text whose paragraphs are set apart by empty lines; words in backquotes are code. */
function paragraphs(text: string): Html[] {
  const inline = (part: string, at: number) => at % 2 === 1 ? html`<code>${part}</code>` : html`${part}`;
  return text.split("\n\n").map((paragraph) => html`<p>${paragraph.split("`").map(inline)}</p>`);
}

/** The type of a value in a few words, named shapes as links. */
function typeOf(schema: Schema | undefined): Html {
  if (schema === undefined) return html``;
  if ("$ref" in schema) {
    const name = schema.$ref.split("/").at(-1);
    return html`<a href="#shape-${name}">${name}</a>`;
  }
  // Parts that only add a description to another say nothing of the type.
  if (schema.allOf) return html`${schema.allOf.filter((part) => "$ref" in part || part.type).map(typeOf)}`;
  const { items, type = "any", minimum, maximum, properties } = schema;
  if (items) return html`array of ${typeOf(items)}`;
  if (properties) {
    return html`{ ${
      Object.entries(properties).map(([name, field]) =>
        html`
          ${name}: ${typeOf(field)}
        `
      )
    }}`;
  }
  if (schema.enum && type === "string") return html`${schema.enum.join(", ")}`;
  const range = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? "" : ` ${minimum}–${maximum}`;
  return html`${[type].flat().join(" or ")}${range}`;
}

function descriptionOf(schema: Schema | undefined): string {
  return schema === undefined || "$ref" in schema ? "" : schema.description ?? "";
}

/** The request as a command line that can be tried. */
function curl(method: string, path: string, example: unknown): string {
  const url = `${BASE}${path.replace("{uuid}", "$UUID")}`;
  const verb = method === "get" ? "" : ` -X ${method.toUpperCase()}`;
  if (example === undefined) return `curl -s${verb} ${url}`;
  const json = JSON.stringify(example, null, 2).replaceAll("'", "'\\''");
  return `curl -s${verb} ${url} -H 'Content-Type: application/json' -d '${json}'`;
}
