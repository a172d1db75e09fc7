import ts from "typescript";
import type { Types } from "./types.ts";

/** A program of TypeScript's compiler, and those of its files that are ours. */
export interface Program {
  readonly checker: ts.TypeChecker;
  readonly files: readonly ts.SourceFile[];
}

const SOURCES = ["lib", "scripts", "tests"];

/**
 * Loads all source below the root with types, as `deno check` does.
 * @throws Error if an import finds no types, for then everything that comes from it would be `any`
 */
export function loadProgram(root: string, types: Types): Program {
  const options: ts.CompilerOptions = {
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    target: ts.ScriptTarget.ESNext,
    lib: ["lib.esnext.d.ts"],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    moduleDetection: ts.ModuleDetectionKind.Force,
    allowImportingTsExtensions: true,
    resolveJsonModule: true,
    skipLibCheck: true,
    noEmit: true,
    types: ["node"],
    typeRoots: [`${types.directory}/node_modules/@types`],
  };
  const isOurs = (path: string) => path.startsWith(`${root}/`);
  const host = ts.createCompilerHost(options);
  const cache = ts.createModuleResolutionCache(types.directory, (path) => path, options);
  const unresolved: string[] = [];
  host.resolveModuleNameLiterals = (names, importer) =>
    names.map(({ text }) => {
      const from = isOurs(importer) && !text.startsWith(".") ? `${types.directory}/import.ts` : importer;
      const found = ts.resolveModuleName(text, from, options, host, cache);
      if (found.resolvedModule === undefined && isOurs(importer) && !text.startsWith("node:")) {
        unresolved.push(`${importer.slice(root.length + 1)}: no types for "${text}"`);
      }
      return found;
    });
  const ours = SOURCES.flatMap((directory) => ts.sys.readDirectory(`${root}/${directory}`, [".ts"]));
  const program = ts.createProgram({ rootNames: [types.deno, `${root}/main.ts`, ...ours], options, host });
  if (unresolved.length > 0) throw new Error(unresolved.join("\n"));
  return {
    checker: program.getTypeChecker(),
    files: program.getSourceFiles().filter(({ fileName }) => isOurs(fileName) && fileName.endsWith(".ts")),
  };
}
