/**
 * Part of `deno task check`: no promise floats. Deno's own linter knows no types, so TypeScript's compiler is asked.
 *
 * tests/fixtures/promises.ts has one promise of each kind that must be found. If one of them is not, types are missing,
 * and the check is worth nothing: it fails.
 */
import { fileURLToPath } from "node:url";
import type ts from "typescript";
import { loadProgram } from "./check/program.ts";
import { type Finding, findPromises, KINDS } from "./check/promises.ts";
import { layOutTypes } from "./check/types.ts";
import { print } from "./progress.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const FIXTURE = "tests/fixtures/promises.ts";
/** Ends each line of the fixture on which something must be found. */
const MARK = "// must be found";

function lineOf(file: ts.SourceFile, { node }: Finding): number {
  return file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
}

/** What is wrong with the check itself: kinds that it misses, and what it takes for one of them. */
function tryFixture(file: ts.SourceFile, findings: readonly Finding[]): string[] {
  const found = new Set(findings.map((finding) => lineOf(file, finding)));
  return file.text.split("\n").flatMap((text, index) => {
    const [line, wanted] = [index + 1, text.endsWith(MARK)];
    if (wanted === found.has(line)) return [];
    return `${FIXTURE}:${line}: ${wanted ? "is not found; do types resolve?" : "is found, but is sound"}`;
  });
}

// A test may well begin something and look at it meanwhile: if that fails, the test fails.
const { checker, files } = loadProgram(ROOT, await layOutTypes(ROOT));
const faults = files.flatMap((file) => {
  const path = file.fileName.slice(ROOT.length + 1);
  const findings = findPromises(file, checker);
  if (path === FIXTURE) return tryFixture(file, findings);
  return findings.filter(({ kind }) => kind !== "late" || !path.startsWith("tests/"))
    .map((finding) => `${path}:${lineOf(file, finding)}: ${KINDS[finding.kind]}`);
});
if (!files.some(({ fileName }) => fileName === `${ROOT}/${FIXTURE}`)) faults.push(`${FIXTURE} is missing`);
for (const fault of faults) print(`${fault}\n`);
if (faults.length > 0) Deno.exit(1);
