/** What a run of `deno test` came to. Tests that were left out count nowhere. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
}

/** A test case with its outcome: an element of its own in it, or none if it passed. */
const TEST_CASE = /<testcase name="([^"]*)" classname="([^"]*)"[^>]*>\s*(?:<(failure|error|skipped)\b)?/g;

/** Counts the tests in a report that `deno test --junit-path` wrote; a test with steps is one test. */
export function readCounts(junit: string): TestCounts {
  if (!junit.includes("</testsuites>")) throw new Error("This is no JUnit report");
  const cases = Array.from(
    junit.matchAll(TEST_CASE),
    ([, name = "", file = "", outcome]) => ({ name, file, outcome }),
  );
  const names = new Set(cases.map(({ file, name }) => `${file} ${name}`));
  const tests = cases.filter(({ file, name }) => !isStep(name, (other) => names.has(`${file} ${other}`)));
  const skipped = tests.filter(({ outcome }) => outcome === "skipped").length;
  const failed = tests.filter(({ outcome }) => outcome !== undefined).length - skipped;
  return { passed: tests.length - failed - skipped, failed };
}

/** Steps are reported as tests named "test > step". */
function isStep(name: string, isTest: (name: string) => boolean): boolean {
  const parts = name.split(" &gt; ");
  return parts.some((_, count) => count > 0 && isTest(parts.slice(0, count).join(" &gt; ")));
}
