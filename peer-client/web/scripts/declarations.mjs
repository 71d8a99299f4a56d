// One file of types for one file of code: the declarations of all modules that the entry's exports need, in one.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import ts from "typescript";

/** The text of one declaration file for `entry`, a `.d.ts` that the compiler made. */
export function bundleDeclarations(entry) {
  const modules = inOrder(entry);
  const declarations = modules.flatMap((source) => source.statements.flatMap((statement) => declared(source, statement)));
  const exported = exportsOf(modules.at(-1));
  const needed = reachable(declarations, exported);
  const texts = declarations.filter(({ name }) => needed.has(name)).map(({ text }) => text);
  return `${texts.join("\n")}\nexport { ${[...exported].sort().join(", ")} };\n`;
}

/** The modules that `path` imports, before it. */
function inOrder(path, seen = new Set()) {
  if (seen.has(path)) return [];
  seen.add(path);
  const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
  const targets = source.statements.map((statement) => statement.moduleSpecifier?.text).filter((text) => text);
  const files = targets.map((target) => join(dirname(path), target.replace(/\.js$/, ".d.ts")));
  return [...files.flatMap((file) => inOrder(file, seen)), source];
}

/** The names that a statement declares, each with the statement's text and the names in it. */
function declared(source, statement) {
  if (ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)) return [];
  const nodes = ts.isVariableStatement(statement) ? statement.declarationList.declarations : [statement];
  if (nodes.length !== 1 || nodes[0].name === undefined) throw new Error(`not understood: ${statement.getText()}`);
  // The comment that belongs to it is the last one before it.
  const comment = ts.getLeadingCommentRanges(source.text, statement.pos)?.at(-1);
  const start = comment?.pos ?? statement.getStart();
  const text = source.text.slice(start, statement.end).replace(/^export (?=declare|type|interface)/m, "");
  return [{ name: nodes[0].name.text, module: source.fileName, text, uses: identifiers(statement) }];
}

function identifiers(node, found = new Set()) {
  if (ts.isIdentifier(node)) found.add(node.text);
  ts.forEachChild(node, (child) => void identifiers(child, found));
  return found;
}

function exportsOf(entry) {
  const lists = entry.statements.filter((statement) => ts.isExportDeclaration(statement));
  const listed = lists.flatMap(({ exportClause }) => exportClause.elements.map(({ name }) => name.text));
  const isExported = (statement) => statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
  const own = entry.statements.filter(isExported).flatMap((statement) => declared(entry, statement));
  return new Set([...listed, ...own.map(({ name }) => name)]);
}

/** The declared names that `wanted` need, and they themselves. */
function reachable(declarations, wanted) {
  const found = new Set();
  const visit = (name) => {
    const these = declarations.filter((declaration) => declaration.name === name);
    if (these.length === 0 || found.has(name)) return;
    if (new Set(these.map(({ module }) => module)).size > 1) throw new Error(`two modules declare ${name}`);
    found.add(name);
    for (const { uses } of these) uses.forEach(visit);
  };
  wanted.forEach(visit);
  return found;
}
