/** Compares the inputs of one resource with the types of @pulumi/gcp and names every property that does not fit. */
import { inputsOf, membersOfObject, type Properties, type Shape } from "./types.ts";
import { isAsset, isRecord, isUnknown, unwrapped } from "./wire.ts";

export interface Misfit {
  /** Path as Pulumi writes it: `template.containers[0].image`. */
  property: string;
  reason: string;
}

export function misfitsOf(token: string, inputs: Record<string, unknown>): Misfit[] {
  return inMembers(inputsOf(token), inputs, "", token);
}

function inMembers(types: Properties, value: Record<string, unknown>, path: string, owner: string): Misfit[] {
  const at = (name: string) => (path === "" ? name : `${path}.${name}`);
  const missing = [...types]
    .filter(([name, { required }]) => required && isAbsent(value[name]))
    .map(([name]) => ({ property: at(name), reason: `is missing: ${owner} requires it` }));
  const given = Object.entries(value).filter(([name]) => !name.startsWith("__"));
  return missing.concat(
    given.flatMap(([name, member]) => {
      const type = types.get(name);
      if (!type) return [{ property: at(name), reason: `is unknown: ${owner} has ${[...types.keys()].join(", ")}` }];
      return isAbsent(member) ? [] : inValue(type.shape, member, at(name));
    }),
  );
}

function inValue(type: Shape, wire: unknown, path: string): Misfit[] {
  const value = unwrapped(wire);
  if (isUnknown(value) || type.kind === "any") return [];
  const wrong = (expected: string) => [
    { property: path, reason: `must be ${expected}, not ${JSON.stringify(value)?.slice(0, 200)}` },
  ];
  switch (type.kind) {
    case "asset":
      return isAsset(value) ? [] : wrong("an asset or archive");
    case "list":
      if (!Array.isArray(value)) return wrong("a list");
      return value.flatMap((item, index) => inValue(type.of, item, `${path}[${index}]`));
    case "map":
      if (!isRecord(value)) return wrong("a map");
      return Object.entries(value).flatMap(([key, item]) => inValue(type.of, item, `${path}[${JSON.stringify(key)}]`));
    case "object":
      if (!isRecord(value)) return wrong(`an object (${type.name})`);
      return inMembers(membersOfObject(type.name), value, path, type.name);
    default:
      return typeof value === type.kind ? [] : wrong(`a ${type.kind}`);
  }
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}
