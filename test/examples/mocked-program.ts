/**
 * Runs a Pulumi program with mocked resources; prints what it exports, and the types of what it makes. Arguments: the program in
 * TypeScript, or JSON of declared resources, as one in YAML is; the stack's configuration as JSON.
 */
import * as pulumi from "@pulumi/pulumi";
import * as keybrake from "keybrake-gcp";

const [program = "", configured = "{}"] = process.argv.slice(2);
const config = JSON.parse(configured) as Record<string, string>;
const made: string[] = [];
pulumi.runtime.setAllConfig(config);
await pulumi.runtime.setMocks(
  {
    newResource: ({ type, name, inputs }) => {
      made.push(type);
      return {
        id: `${name}-id`,
        state: { uri: `https://${name}.example.com`, email: `${name}@example.com`, ...inputs },
      };
    },
    call: ({ inputs }) => inputs as Record<string, unknown>,
  },
  "billing",
  "prod",
  true,
);
const exports = await pulumi.runtime.runInPulumiStack(async () =>
  program.startsWith("{") ? declare(JSON.parse(program) as Declared) : { ...((await import(program)) as object) },
);
const plain = await new Promise((resolve) => pulumi.output(exports).apply(resolve));
console.log(JSON.stringify({ exports: plain, made }));

interface Declared {
  resources: Record<string, { type: string; properties: object }>;
  outputs: Record<string, string>;
}

/** What a YAML host does: references are replaced by what they refer to. */
function declare({ resources, outputs }: Declared): Record<string, unknown> {
  const there = new Map<string, object>();
  const resolved = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(resolved);
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, resolved(each)]));
    }
    const [, name, property] = /^\$\{(\w+)(?:\.(\w+))?\}$/.exec(String(value)) ?? [];
    if (name === undefined) return value;
    return property === undefined ? config[`billing:${name}`] : Reflect.get(there.get(name)!, property);
  };
  for (const [name, { type, properties }] of Object.entries(resources)) {
    const Component = Reflect.get(keybrake, type.split(":")[2]!) as new (name: string, args: unknown) => object;
    there.set(name, new Component(name, resolved(properties)));
  }
  return resolved(outputs) as Record<string, unknown>;
}
