/**
 * Goal: the README's program makes the resources that were reviewed, and no others; each belongs to its component; nothing in them is a
 * secret. Method: the program under Pulumi's mocks against a snapshot in this folder, which a change shows as a diff to review.
 * Limit: no engine and no cloud. That Google takes these inputs is not shown here; their types are the engine's tests' matter.
 */
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { exampleProgram } from "./example-program.ts";
import { type Made, type Run, run } from "./mock-program.ts";

let example: Run;
beforeAll(async () => {
  example = await run(() => {
    exampleProgram();
    return {};
  });
});

describe("the README's program", () => {
  test("makes the resources that were reviewed, with these inputs", async () => {
    const graph = example.made.map(({ type, name, parent, protect, after, inputs }) => ({
      resource: `${type} ${name}`,
      parent,
      ...(protect && { protect }),
      ...(after.length > 0 && { after }),
      inputs: readable(inputs),
    }));
    await expect(`${JSON.stringify(graph, null, 2)}\n`).toMatchFileSnapshot("example-graph.txt");
  });

  test("gives every resource to a component, and components to the stack", () => {
    const components = example.made.filter(({ type }) => type.startsWith("keybrake-gcp:"));
    const names = new Set(components.map(({ name }) => name));
    for (const { type, name, parent } of example.made) {
      if (type.startsWith("keybrake-gcp:") && type !== "keybrake-gcp:index:VendorSecret") {
        expect(parent, `${type} ${name}`).toBeNull();
      } else {
        expect(names.has(parent ?? ""), `${type} ${name} belongs to ${parent}`).toBe(true);
      }
    }
  });

  test("names no resource twice, and each after its component", () => {
    const seen = new Set<string>();
    for (const each of example.made) {
      const { type, name, parent } = each;
      expect(seen.has(`${type} ${name}`), `${type} ${name}`).toBe(false);
      seen.add(`${type} ${name}`);
      if (parent !== null) expect(name === parent || name.startsWith(`${parent}-`), `${name} of ${parent}`).toBe(true);
    }
  });

  test("has no value of a secret, and makes no version of one", () => {
    const text = JSON.stringify(example.made);
    expect(text).not.toMatch(/sk_(?:live|test)_|\bvk_[A-Za-z0-9]|kbi_|rk_live|-----BEGIN|AIza/);
    const types = example.made.map(({ type }) => type);
    expect(types.filter((type) => /secretVersion:|serviceaccount\/key:/i.test(type))).toEqual([]);
  });

  test("protects what money records would be lost with, and nothing else", () => {
    const isProtected = example.made.filter(({ protect }) => protect).map(({ type, name }) => `${type} ${name}`);
    expect(isProtected).toEqual([
      "gcp:firestore/database:Database keybrake-ledger",
      "gcp:secretmanager/secret:Secret keybrake-pepper",
    ]);
  });

  test("declares exactly the indexes and time limits of the service's own file", () => {
    interface Index {
      collectionGroup: string;
      queryScope: string;
      fields: object[];
    }
    interface Field {
      collectionGroup: string;
      fieldPath: string;
      ttl?: boolean;
      indexes: object[];
    }
    const url = new URL("../../service/stores/firestore-indexes.json", import.meta.url);
    const file = JSON.parse(readFileSync(url, "utf8")) as { indexes: Index[]; fieldOverrides: Field[] };
    const indexes = of("gcp:firestore/index:Index").map(({ inputs }) => ({
      collectionGroup: inputs.collection,
      queryScope: inputs.queryScope,
      fields: inputs.fields,
    }));
    const fields = of("gcp:firestore/field:Field").map(({ inputs }) => ({
      collectionGroup: inputs.collection,
      fieldPath: inputs.field,
      ...(inputs.ttlConfig !== undefined && { ttl: true }),
      indexes: (inputs.indexConfig as { indexes: object[] }).indexes,
    }));
    expect(sorted(indexes)).toEqual(sorted(file.indexes));
    expect(sorted(fields)).toEqual(sorted(file.fieldOverrides));
  });
});

const of = (type: string): Made[] => example.made.filter((each) => each.type === type);

/** Whatever order keys stand in. */
const sorted = (list: object[]): string[] => list.map((each) => JSON.stringify(canonical(each))).sort();

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort()
      .map(([key, each]) => [key, canonical(each)]),
  );
}

/** JSON within JSON is shown as what it is; the archive's place on this machine is not shown. */
function readable(value: unknown): unknown {
  if (typeof value === "string" && /^[{[]/.test(value)) return { json: JSON.parse(value) as unknown };
  if (Array.isArray(value)) return value.map(readable);
  if (typeof value !== "object" || value === null) return value;
  if ("__pulumiAsset" in value) return "(the archive)";
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, key === "sourceArchive" ? "(the archive)" : readable(each)]),
  );
}
