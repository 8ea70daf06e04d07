/** Holds a declarative program against a Pulumi package's schema (https://www.pulumi.com/docs/iac/guides/building-extending/packages/schema/, read 2026-11). */

export interface PackageSchema {
  name: string;
  resources: Record<string, { inputProperties: Properties; requiredInputs?: string[]; properties: Properties }>;
  types: Record<string, ObjectType>;
}
type Properties = Record<string, Type>;
interface ObjectType {
  type: string;
  properties?: Properties;
  required?: string[];
  enum?: { value: string }[];
}
interface Type {
  type?: string;
  $ref?: string;
  items?: Type;
  additionalProperties?: Type;
}

export interface Program {
  /** Name → type of each value of the stack's configuration. */
  config: Record<string, string>;
  resources: Record<string, { type: string; properties: Record<string, unknown> }>;
  outputs: Record<string, unknown>;
}

const reference = /^\$\{([\w-]+)(?:\.(\w+))?\}$/;

/** @returns what is wrong, one line each. */
export function faultsOf(program: Program, schema: PackageSchema): string[] {
  const faults: string[] = [];
  const say = (at: string, fault: string): void => void faults.push(`${at}: ${fault}`);

  function referred(at: string, text: string): Type | undefined {
    const [, name = "", property] = reference.exec(text) ?? [];
    if (property === undefined) {
      if (!(name in program.config)) return void say(at, `there is no configuration ${name}`);
      return { type: program.config[name]! };
    }
    const resource = schema.resources[program.resources[name]?.type ?? ""];
    const type = resource?.properties[property];
    if (!type) say(at, `${text} is no output`);
    return type;
  }

  function checkObject(at: string, value: unknown, properties: Properties, required: readonly string[] = []): void {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      say(at, "must be an object");
      return;
    }
    for (const name of required) if (!(name in value)) say(at, `has no ${name}`);
    for (const [name, each] of Object.entries(value)) {
      const type = properties[name];
      if (type) check(`${at}.${name}`, each, type);
      else say(at, `there is no ${name}`);
    }
  }

  function check(at: string, value: unknown, type: Type): void {
    if (typeof value === "string" && reference.test(value)) {
      const found = referred(at, value);
      const same = found && (found.$ref ?? found.type) === (type.$ref ?? type.type);
      if (found && !same) say(at, `${value} is of another type`);
    } else if (type.$ref !== undefined) {
      const target = schema.types[type.$ref.replace("#/types/", "")];
      if (!target) say(at, `the schema has no ${type.$ref}`);
      else if (target.enum && !target.enum.some((each) => each.value === value)) say(at, `${value} is no member`);
      else if (!target.enum) checkObject(at, value, target.properties ?? {}, target.required);
    } else if (type.type === "array") {
      if (!Array.isArray(value)) say(at, "must be a list");
      else for (const [index, each] of value.entries()) check(`${at}[${index}]`, each, type.items!);
    } else if (type.type === "object") {
      for (const [name, each] of Object.entries(value as object))
        check(`${at}.${name}`, each, type.additionalProperties!);
    } else if (typeof value !== (type.type === "integer" ? "number" : type.type)) {
      say(at, `must be a ${type.type}`);
    }
  }

  for (const [name, { type, properties }] of Object.entries(program.resources)) {
    const resource = schema.resources[type];
    if (resource) checkObject(name, properties, resource.inputProperties, resource.requiredInputs);
    else say(name, `there is no ${type}`);
  }
  for (const [name, value] of Object.entries(program.outputs)) referred(`output ${name}`, String(value));
  return faults;
}
