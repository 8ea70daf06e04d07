/**
 * What @pulumi/gcp says its resources take and give: read from the package's own `.d.ts` files with the TypeScript
 * parser (the package carries no schema). Only syntax is read, no type is resolved: all of it has one generated form.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import ts from "typescript";

export type Shape =
  | { kind: "string" | "number" | "boolean" | "asset" | "any" }
  | { kind: "list" | "map"; of: Shape }
  | { kind: "object"; name: string };

export interface Property {
  required: boolean;
  shape: Shape;
}

export type Properties = ReadonlyMap<string, Property>;

const root = dirname(createRequire(import.meta.url).resolve("@pulumi/gcp/package.json"));
const files = new Map<string, ts.SourceFile>();
const nested = new Map<string, ts.InterfaceDeclaration>();
const read = new Map<string, Properties>();

/** @param token e.g. `gcp:cloudrunv2/service:Service`. @throws for a type that @pulumi/gcp does not have. */
export function inputsOf(token: string): Properties {
  return cached(`inputs ${token}`, () => {
    const { file, name } = place(token);
    const found = parse(file).statements.find(
      (statement) => ts.isInterfaceDeclaration(statement) && statement.name.text === `${name}Args`,
    );
    if (!found || !ts.isInterfaceDeclaration(found)) throw new Error(`${token}: no ${name}Args in ${file}`);
    return membersOf(found.members);
  });
}

/** Every output property, those that repeat an input among them. */
export function outputsOf(token: string): Properties {
  return cached(`outputs ${token}`, () => {
    const { file, name } = place(token);
    const found = parse(file).statements.find(
      (statement) => ts.isClassDeclaration(statement) && statement.name?.text === name,
    );
    if (!found || !ts.isClassDeclaration(found)) throw new Error(`${token}: no class ${name} in ${file}`);
    return membersOf(found.members.filter((member) => !isStatic(member)));
  });
}

/** Members of a nested input type, e.g. `inputs.cloudrunv2.ServiceTemplate`. */
export function membersOfObject(name: string): Properties {
  return cached(name, () => {
    if (nested.size === 0) readNested();
    const found = nested.get(name);
    if (!found) throw new Error(`@pulumi/gcp has no type ${name}`);
    return membersOf(found.members);
  });
}

function cached(key: string, make: () => Properties): Properties {
  const known = read.get(key) ?? make();
  read.set(key, known);
  return known;
}

/** Of `gcp:cloudrunv2/service:Service`: `cloudrunv2/service.d.ts`, `Service`. */
function place(token: string): { file: string; name: string } {
  const [, module, name] = token.split(":");
  if (!module || !name) throw new Error(`${token} is not a type token`);
  // `firestore/index` is the module's own index: the SDK writes that resource elsewhere.
  if (basename(module) !== "index") return { file: `${module}.d.ts`, name };
  const directory = dirname(module);
  const found = readdirSync(join(root, directory)).find(
    (file) => file.endsWith(".js") && readFileSync(join(root, directory, file), "utf8").includes(`'${token}'`),
  );
  if (!found) throw new Error(`@pulumi/gcp has no ${token}`);
  return { file: join(directory, found.replace(/\.js$/, ".d.ts")), name };
}

/** Tokens write `projects/iAMMember`, files `projects/iammember.d.ts`. */
function fileOf(path: string): string {
  const name = basename(path).toLowerCase();
  const found = readdirSync(join(root, dirname(path))).find((entry) => entry.toLowerCase() === name);
  if (!found) throw new Error(`@pulumi/gcp has no ${path}`);
  return join(root, dirname(path), found);
}

function parse(file: string): ts.SourceFile {
  const known = files.get(file);
  if (known) return known;
  const source = ts.createSourceFile(file, readFileSync(fileOf(file), "utf8"), ts.ScriptTarget.ESNext);
  files.set(file, source);
  return source;
}

function readNested(): void {
  for (const namespace of parse("types/input.d.ts").statements) {
    if (!ts.isModuleDeclaration(namespace) || !namespace.body || !ts.isModuleBlock(namespace.body)) continue;
    for (const statement of namespace.body.statements) {
      if (ts.isInterfaceDeclaration(statement)) {
        nested.set(`inputs.${namespace.name.text}.${statement.name.text}`, statement);
      }
    }
  }
}

function isStatic(member: ts.ClassElement): boolean {
  return ts.canHaveModifiers(member) && !!member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword);
}

function membersOf(members: readonly (ts.TypeElement | ts.ClassElement)[]): Properties {
  const properties = new Map<string, Property>();
  for (const member of members) {
    if (!(ts.isPropertySignature(member) || ts.isPropertyDeclaration(member))) continue;
    if (!member.type || !(ts.isIdentifier(member.name) || ts.isStringLiteral(member.name))) continue;
    const shape = shapeOf(member.type);
    const required = !member.questionToken && !isOptional(member.type);
    properties.set(member.name.text, { required, shape });
  }
  return properties;
}

/** `pulumi.Input<X | undefined>` and `pulumi.Output<X | undefined>`. */
function isOptional(type: ts.TypeNode): boolean {
  if (ts.isTypeReferenceNode(type) && type.typeArguments?.[0]) return isOptional(type.typeArguments[0]);
  return ts.isUnionTypeNode(type) && type.types.some(({ kind }) => kind === ts.SyntaxKind.UndefinedKeyword);
}

function shapeOf(type: ts.TypeNode): Shape {
  if (ts.isTypeReferenceNode(type)) return shapeOfReference(type);
  if (ts.isArrayTypeNode(type)) return { kind: "list", of: shapeOf(type.elementType) };
  if (ts.isParenthesizedTypeNode(type)) return shapeOf(type.type);
  if (ts.isUnionTypeNode(type)) {
    const some = type.types.filter(({ kind }) => kind !== ts.SyntaxKind.UndefinedKeyword).map(shapeOf);
    return some.length === 1 && some[0] ? some[0] : (some.find(({ kind }) => kind === "asset") ?? { kind: "any" });
  }
  if (ts.isTypeLiteralNode(type)) {
    const index = type.members.find(ts.isIndexSignatureDeclaration);
    return index ? { kind: "map", of: shapeOf(index.type) } : { kind: "any" };
  }
  if (type.kind === ts.SyntaxKind.StringKeyword) return { kind: "string" };
  if (type.kind === ts.SyntaxKind.NumberKeyword) return { kind: "number" };
  if (type.kind === ts.SyntaxKind.BooleanKeyword) return { kind: "boolean" };
  return { kind: "any" };
}

function shapeOfReference(type: ts.TypeReferenceNode): Shape {
  const name = entityText(type.typeName);
  if (name === "pulumi.Input" || name === "pulumi.Output") {
    return type.typeArguments?.[0] ? shapeOf(type.typeArguments[0]) : { kind: "any" };
  }
  if (name.startsWith("pulumi.asset.")) return { kind: "asset" };
  if (name.startsWith("inputs.") || name.startsWith("outputs.")) return { kind: "object", name };
  return { kind: "any" };
}

function entityText(name: ts.EntityName): string {
  return ts.isIdentifier(name) ? name.text : `${entityText(name.left)}.${name.right.text}`;
}
