/**
 * Makes a bundle start as fast as it can; without it an empty command takes three times as long.
 *
 * - Deno loads whatever an `import("./literal.js")` names before it runs anything, on the chance that it will be wanted. Here
 *   each command is such an import: named by an expression, it is loaded when it is reached.
 * - The bundler's helpers load node:module, with all of Node's compatibility behind it, for the sake of the few packages that
 *   call `require`: that can wait until one does.
 *
 * @param name of the file, for errors
 * @throws Error if the bundler writes its helpers in another way than is known here
 */
export function tune(code: string, name: string): string {
  const lazy = code.replace(
    REQUIRE,
    (_, _import: string, variable: string) =>
      `var ${variable} = (name) => process.getBuiltinModule("node:module").createRequire(import.meta.url)(name);`,
  );
  if (/^import .*createRequire.* from "node:module"/m.test(lazy)) {
    throw new Error(`${name}: the bundler's require() has changed: see scripts/build/tune.ts`);
  }
  return lazy.replaceAll(/\bimport\(("\.\/[\w.-]+\.js")\)/g, "import(String($1))");
}

const REQUIRE =
  /^import \{ createRequire as (\w+) \} from "node:module";\nvar (\w+) = \1\(import\.meta\.url\);$/m;
