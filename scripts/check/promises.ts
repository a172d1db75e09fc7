import ts from "typescript";
import { awaitedLater } from "../../lib/model/background.ts";

/** The kinds of promise whose rejection nobody may see, in words. */
export const KINDS = {
  floating: "this promise is neither awaited, returned nor given a handler (see lib/model/background.ts)",
  unknown: "what this call returns has no known type, so nobody can tell whether it is a promise",
  unawaited: "a function that returns a promise is given where nobody awaits it",
  late: "begun here and awaited only after another await; if it fails meanwhile, nobody is there to see",
} as const;

export interface Finding {
  readonly node: ts.Node;
  readonly kind: keyof typeof KINDS;
}

/**
 * Finds the promises in a file whose rejection can escape:
 *
 * - an expression of such a type that is a statement, or the operand of `void`;
 * - a function that returns a promise, given where one is wanted that returns nothing: event handlers, timers;
 * - a promise that is begun and waits for its own `await` behind another one.
 *
 * A promise is taken for handled where `catch(f)` or `then(f, g)` is called on it.
 */
export function findPromises(file: ts.SourceFile, checker: ts.TypeChecker): Finding[] {
  const types = new PromiseTypes(checker);
  const findings: Finding[] = [];
  const report = (node: ts.Node, kind: Finding["kind"]) => void findings.push({ node, kind });

  const visit = (node: ts.Node): void => {
    if (ts.isExpressionStatement(node) || ts.isVoidExpression(node)) {
      for (const value of discarded(node.expression)) {
        if (ts.isCallExpression(value) && types.isUnknown(value)) report(value, "unknown");
        else if (types.areLost(value)) report(value, "floating");
      }
    }
    if (ts.isExpression(node) && types.isAwaitedByNobody(node)) report(node, "unawaited");
    if (ts.isClassLike(node)) {
      for (const member of types.asyncOverrides(node)) {
        report(member, "unawaited");
      }
    }
    for (const [value, keeper] of kept(node)) {
      if (types.begins(value) && isLate(keeper, node, checker)) report(value, "late");
    }
    for (const value of besideAwait(node)) if (types.begins(value)) report(value, "late");
    ts.forEachChild(node, visit);
  };
  visit(file);
  return findings;
}

/** What TypeScript knows of promises. */
class PromiseTypes {
  readonly #checker: ts.TypeChecker;

  constructor(checker: ts.TypeChecker) {
    this.#checker = checker;
  }

  /** Whether it is a promise, or an array of them, without a handler. */
  areLost(value: ts.Expression): boolean {
    return this.#hasPromises(this.#checker.getTypeAtLocation(value)) && !isHandled(value) &&
      !ts.isBinaryExpression(value); // an assignment
  }

  isUnknown(value: ts.Expression): boolean {
    return (this.#checker.getTypeAtLocation(value).flags & ts.TypeFlags.Any) !== 0;
  }

  /** Whether the expression sets a promise going, or several, and leaves them without a handler. */
  begins(value: ts.Expression): boolean {
    const made = bare(value);
    if (ts.isArrayLiteralExpression(made) || ts.isObjectLiteralExpression(made)) {
      return partsOf(made).some((part) => this.begins(part));
    }
    if (ts.isSpreadElement(made)) return this.begins(made.expression);
    if (ts.isConditionalExpression(made)) return this.begins(made.whenTrue) || this.begins(made.whenFalse);
    if (!ts.isCallExpression(made) && !ts.isNewExpression(made)) return false;
    return !isHandled(made) && this.#hasPromises(this.#checker.getTypeAtLocation(made));
  }

  #hasPromises(type: ts.Type): boolean {
    if (this.#isThenable(type)) return true;
    if (!this.#checker.isArrayLikeType(type)) return false;
    const element = this.#checker.getIndexTypeOfType(type, ts.IndexKind.Number);
    return element !== undefined && this.#isThenable(element);
  }

  /** Whether it is a function that returns a promise, in a place for one whose answer is thrown away. */
  isAwaitedByNobody(value: ts.Expression): boolean {
    if (!isPlaceForFunction(value)) return false;
    const expected = this.#checker.getContextualType(value);
    if (expected === undefined || !(losesPromises(value) || this.#returnsNothing(expected))) return false;
    return this.#returnsPromise(this.#checker.getTypeAtLocation(value));
  }

  /** The methods of a class that return a promise, though what it implements or extends says that they return nothing. */
  *asyncOverrides(node: ts.ClassLikeDeclaration): Iterable<ts.Node> {
    const bases = (node.heritageClauses ?? []).flatMap(({ types }) => types)
      .map((base) => this.#checker.getTypeAtLocation(base));
    for (const member of node.members) {
      if (!ts.isMethodDeclaration(member) || !ts.isIdentifier(member.name)) continue;
      const { text } = member.name;
      if (!this.#returnsPromise(this.#checker.getTypeAtLocation(member))) continue;
      for (const base of bases) {
        const symbol = base.getProperty(text);
        if (symbol && this.#returnsNothing(this.#checker.getTypeOfSymbolAtLocation(symbol, node))) {
          yield member;
        }
      }
    }
  }

  #isThenable(type: ts.Type): boolean {
    return constituents(type).some((part) => {
      const then = part.getProperty("then");
      if (then === undefined) return false;
      return this.#checker.getTypeOfSymbol(then).getCallSignatures().length > 0;
    });
  }

  #returnsPromise(type: ts.Type): boolean {
    return this.#returned(type).some((returned) => this.#isThenable(returned));
  }

  #returnsNothing(type: ts.Type): boolean {
    const returned = this.#returned(type);
    return returned.some((each) => (each.flags & ts.TypeFlags.Void) !== 0) &&
      !returned.some((each) => this.#isThenable(each));
  }

  #returned(type: ts.Type): ts.Type[] {
    const signatures = constituents(type).flatMap((part) => part.getCallSignatures());
    return signatures.flatMap((signature) => constituents(this.#checker.getReturnTypeOfSignature(signature)));
  }
}

function constituents(type: ts.Type): readonly ts.Type[] {
  return type.isUnion() ? type.types : [type];
}

/** The values that an expression comes to, all of which are lost with it. */
function* discarded(value: ts.Expression): Iterable<ts.Expression> {
  const inner = bare(value);
  if (ts.isVoidExpression(inner)) return; // it is looked at for itself
  if (ts.isConditionalExpression(inner)) {
    yield* discarded(inner.whenTrue);
    yield* discarded(inner.whenFalse);
  } else if (ts.isBinaryExpression(inner)) {
    const operator = inner.operatorToken.kind;
    if (operator === ts.SyntaxKind.CommaToken) yield* discarded(inner.left);
    if (LOGICAL.has(operator)) yield* discarded(inner.right);
  } else {
    yield inner;
  }
}

const LOGICAL: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.CommaToken,
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
]);

/** Without parentheses, and without what only speaks of its type. */
function bare(value: ts.Expression): ts.Expression {
  const isWrapped = ts.isParenthesizedExpression(value) || ts.isAsExpression(value) ||
    ts.isSatisfiesExpression(value) || ts.isNonNullExpression(value);
  return isWrapped ? bare(value.expression) : value;
}

/** `p.catch(f)`, `p.then(f, g)`, either with `finally` behind it, and `awaitedLater(p)`. */
function isHandled(value: ts.Expression): boolean {
  if (!ts.isCallExpression(value)) return false;
  if (ts.isIdentifier(value.expression)) return value.expression.text === awaitedLater.name;
  if (!ts.isPropertyAccessExpression(value.expression)) return false;
  const { name, expression: receiver } = value.expression;
  if (name.text === "catch") return value.arguments.length > 0;
  if (name.text === "then") return value.arguments.length > 1;
  return name.text === "finally" && isHandled(bare(receiver));
}

/** Where a function is handed over, rather than called or made. */
function isPlaceForFunction(value: ts.Expression): boolean {
  const { parent } = value;
  if (ts.isCallExpression(parent) || ts.isNewExpression(parent)) {
    return parent.arguments?.includes(value) ?? false;
  }
  if (
    ts.isPropertyAssignment(parent) || ts.isVariableDeclaration(parent) || ts.isPropertyDeclaration(parent)
  ) {
    return parent.initializer === value;
  }
  if (ts.isBinaryExpression(parent)) {
    return parent.operatorToken.kind === ts.SyntaxKind.EqualsToken && parent.right === value;
  }
  return ts.isReturnStatement(parent) || ts.isShorthandPropertyAssignment(parent) ||
    (ts.isArrowFunction(parent) && parent.body === value);
}

/** Where events are listened for, or elements judged. Some types allow any answer there; a promise is lost all the same. */
function losesPromises({ parent }: ts.Expression): boolean {
  if (ts.isBinaryExpression(parent)) {
    return ts.isPropertyAccessExpression(parent.left) && /^on[a-z]+$/.test(parent.left.name.text);
  }
  return ts.isCallExpression(parent) && ts.isPropertyAccessExpression(parent.expression) &&
    CALLING.has(parent.expression.name.text);
}

/** What is kept in variables, and in which: `const p = f()`, `p = f()`, `all.push(f())`. */
function* kept(node: ts.Node): Iterable<readonly [value: ts.Expression, keeper: ts.Identifier]> {
  if (ts.isVariableDeclaration(node) && node.initializer !== undefined && ts.isIdentifier(node.name)) {
    yield [node.initializer, node.name];
  }
  if (!ts.isExpressionStatement(node)) return;
  const { expression } = node;
  if (ts.isBinaryExpression(expression) && ASSIGNING.has(expression.operatorToken.kind)) {
    if (ts.isIdentifier(expression.left)) yield [expression.right, expression.left];
  } else if (ts.isCallExpression(expression) && ts.isPropertyAccessExpression(expression.expression)) {
    const { expression: keeper, name } = expression.expression;
    if (!ts.isIdentifier(keeper) || !KEEPING.has(name.text)) return;
    for (const value of expression.arguments) yield [value, keeper];
  }
}

const ASSIGNING: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.EqualsToken,
  ts.SyntaxKind.QuestionQuestionEqualsToken,
  ts.SyntaxKind.BarBarEqualsToken,
]);
const KEEPING: ReadonlySet<string> = new Set(["push", "unshift", "add", "set"]);

/** Methods that call a function and look at its answer no closer than whether it is true. */
const CALLING: ReadonlySet<string> = new Set([
  "addEventListener",
  "every",
  "filter",
  "find",
  "findIndex",
  "findLast",
  "findLastIndex",
  "some",
]);

/** Whether, in the order of the source, something else is awaited before the variable is next used. */
function isLate(keeper: ts.Identifier, node: ts.Node, checker: ts.TypeChecker): boolean {
  const variable = checker.getSymbolAtLocation(keeper);
  const isUse = (other: ts.Node) =>
    ts.isIdentifier(other) && other.text === keeper.text && symbolOf(other, checker) === variable;
  for (const next of following(node)) {
    const first = firstOf(next, isUse);
    if (first !== undefined) return first === "await";
  }
  return false;
}

/** What comes after a node in its function. */
function* following(node: ts.Node): Iterable<ts.Node> {
  for (let at = node; !ts.isFunctionLike(at) && !ts.isSourceFile(at); at = at.parent) {
    const { parent } = at;
    const nodes: readonly ts.Node[] = ts.isVariableDeclarationList(parent)
      ? parent.declarations
      : ts.isBlock(parent) || ts.isSourceFile(parent) || ts.isCaseOrDefaultClause(parent)
      ? parent.statements
      : [];
    yield* nodes.slice(nodes.indexOf(at) + 1);
    if (ts.isTryStatement(parent) && parent.finallyBlock && at !== parent.finallyBlock) {
      yield parent.finallyBlock;
    }
  }
}

function symbolOf(node: ts.Identifier, checker: ts.TypeChecker): ts.Symbol | undefined {
  if (ts.isShorthandPropertyAssignment(node.parent)) {
    return checker.getShorthandAssignmentValueSymbol(node.parent);
  }
  return checker.getSymbolAtLocation(node);
}

/** What comes first below a node: a use, or an await. Functions are run later, so their awaits do not count. */
function firstOf(
  node: ts.Node,
  isUse: (node: ts.Node) => boolean,
  inFunction = false,
): "use" | "await" | undefined {
  if (isUse(node)) return "use";
  const within = inFunction || ts.isFunctionLike(node);
  const below = ts.forEachChild(node, (child) => firstOf(child, isUse, within));
  return below ?? (isAwait(node) && !within ? "await" : undefined);
}

function isAwait(node: ts.Node): boolean {
  return ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier !== undefined) ||
    (ts.isVariableDeclarationList(node) &&
      (node.flags & ts.NodeFlags.AwaitUsing) === ts.NodeFlags.AwaitUsing);
}

/** The elements, arguments and properties of an expression that are evaluated before one with an await in it. */
function besideAwait(node: ts.Node): readonly ts.Expression[] {
  const parts = partsOf(node);
  const last = parts.findLastIndex((part) => firstOf(part, () => false) === "await");
  return parts.slice(0, Math.max(0, last));
}

/** In the order in which they are evaluated. */
function partsOf(node: ts.Node): readonly ts.Expression[] {
  if (ts.isArrayLiteralExpression(node)) return node.elements;
  if (ts.isCallExpression(node) || ts.isNewExpression(node)) return node.arguments ?? [];
  if (!ts.isObjectLiteralExpression(node)) return [];
  return node.properties.flatMap((property) => ts.isPropertyAssignment(property) ? property.initializer : []);
}
