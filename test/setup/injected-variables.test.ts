/**
 * Goal: a job's variables are known before it runs, none is one that Cloud Run or the proxy sets, and a connector that cannot give one
 * is refused when it is loaded.
 * Method: the built-in connectors, and a small one changed in one way at a time.
 * Limit: which variables an SDK reads is shown with the SDKs, in `test/exec/sdk.test.ts`.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { KeyState } from "../../service/ledger/types.ts";
import { injectedNames, isReservedName, variablesOf } from "../../service/setup/injected-variables.ts";
import { VaultKeys } from "../../service/vault-key.ts";
import type { ConnectorInput } from "../../service/vendors/connector.ts";
import { loadVendors } from "../../service/vendors/index.ts";

const acme: ConnectorInput = {
  id: "acme",
  name: "Acme",
  upstream: "https://api.acme.test",
  bare: ["/things"],
  credential: { type: "basic" },
  account: { parameter: "account" },
  parameters: { account: "AA[0-9]+" },
  body: { codec: "json" },
  rules: [{ endpoint: "POST /things/{account}", quote: { micros: "1", why: "a thing" } }],
};
type Variables = NonNullable<ConnectorInput["variables"]>;
const load = (variables: Variables, more: Partial<ConnectorInput> = {}) =>
  loadVendors({ connectors: [{ ...acme, variables, ...more }], now: () => Date.UTC(2026, 10, 22) });

const vaultKeys = new VaultKeys(new Map([[1, Buffer.alloc(32, 1)]]));
const keyOf = (vendors: string[], accounts: string[] = []) =>
  ({ keyId: "a".repeat(26), pepperVersion: 1, scope: { vendors, accounts } }) as unknown as KeyState;

test("the names of a job are those of its vendors and the proxy's own", () => {
  const vendors = load([{ name: "ACME_KEY", is: "credential" }]);
  expect([...injectedNames([vendors.get("resend")!, vendors.get("acme")!])]).toEqual([
    "KEYBRAKE_URL",
    "KEYBRAKE_AUDIENCE",
    "KEYBRAKE_VAULT_KEY",
    "KEYBRAKE_KEY_ID",
    "KEYBRAKE_RUN_ID",
    "KEYBRAKE_TASK_INDEX",
    "KEYBRAKE_TASK_ATTEMPT",
    "RESEND_API_KEY",
    "RESEND_BASE_URL",
    "RESEND_API_URL",
    "ACME_KEY",
  ]);
});

test("what Cloud Run sets in a task is reserved, and no vendor's variable is", () => {
  const ofTasks = ["JOB", "EXECUTION", "TASK_INDEX", "TASK_COUNT", "TASK_ATTEMPT"].map((name) => `CLOUD_RUN_${name}`);
  for (const name of [...ofTasks, "PORT", "K_SERVICE", "KEYBRAKE_URL", "PATH", "LD_PRELOAD", "NODE_OPTIONS"])
    expect([name, isReservedName(name)]).toEqual([name, true]);
  const vendors = [...loadVendors({ now: Date.now }).values()];
  const names = vendors.flatMap(({ variables }) => variables.map(({ name }) => name));
  expect(names).toContain("STRIPE_SECRET_KEY");
  expect(names.filter(isReservedName)).toEqual([]);
});

test("a connector may give every variable that is not reserved, and `keybrake exec` takes what it gives", () => {
  const read = (file: string) => readFileSync(new URL(`../../service/${file}`, import.meta.url), "utf8");
  const names = (text: string) => (text.match(/\b[A-Z][A-Z0-9_]+\b/g) ?? []).filter((name) => !/^KEYBRAKE_/.test(name));
  const [own, node, python] = [
    /reservedVariable =\s*(\S+);/.exec(read("vendors/connector.ts"))?.[1] ?? "",
    /reserved =\s*(\S+);/.exec(read("cli/exec/claim.js"))?.[1] ?? "",
    /RESERVED = re\.compile\(([\s\S]*?)\n\)/.exec(read("exec/keybrake_exec.py"))?.[1]?.replaceAll(/"\s+r"/g, "") ?? "",
  ];
  expect(names(own).length).toBeGreaterThan(30);
  expect(names(node)).toEqual(names(own));
  expect(names(python)).toEqual(names(node));
});

const refused: [string, Variables, Partial<ConnectorInput>, RegExp][] = [
  [
    "one that Cloud Run sets",
    [{ name: "CLOUD_RUN_TASK_INDEX", is: "credential" }],
    {},
    /variables\[0\]\.name: .*take another name/,
  ],
  ["one that every program reads", [{ name: "PATH", is: "credential" }], {}, /take another name/],
  ["one in lower case", [{ name: "acme_key", is: "credential" }], {}, /write the variable in upper case/],
  [
    "one that is there twice",
    [
      { name: "A", is: "credential" },
      { name: "A", is: "base_url" },
    ],
    {},
    /acme: the variable A is there twice/,
  ],
  [
    "a bare_url of a vendor without bare paths",
    [{ name: "A", is: "bare_url" }],
    { bare: [] },
    /A is a bare_url, which needs `bare`/,
  ],
  [
    "an account of a vendor without accounts",
    [{ name: "A", is: "account" }],
    { account: undefined },
    /A is an account, which needs `account`/,
  ],
  ["an account without a shape", [{ name: "A", is: "account" }], { parameters: {} }, /and its shape in `parameters`/],
];
for (const [what, variables, more, sentence] of refused) {
  test(`a connector with ${what} is refused`, () => {
    expect(() => load(variables, more)).toThrow(sentence);
  });
}

test("an account is told only when it has an account's form: a secret of another form is not", async () => {
  const vendors = load([{ name: "ACME_ACCOUNT", is: "account" }]);
  const told = async (ownAccount: string | null, accounts: string[] = []) =>
    (await variablesOf({ vendors, vaultKeys, ownAccount: async () => ownAccount }, keyOf(["acme"], accounts), null))
      .filter(({ name }) => name === "ACME_ACCOUNT")
      .map(({ value }) => value);
  expect(await told("AA12")).toEqual(["AA12"]);
  expect(await told("canary-secret")).toEqual([]);
  expect(await told("AA12-canary")).toEqual([]);
  expect(await told(null)).toEqual([]);
  expect(await told("AA12", ["acct_1", "AA77"])).toEqual(["AA77"]);
});

test("two vendors of one key that set a name to different values are refused, to the same value not", async () => {
  const deps = (variables: Variables) => ({ vendors: load(variables), vaultKeys, ownAccount: async () => null });
  const shared: Variables = [{ name: "RESEND_API_KEY", is: "credential" }];
  const names = (await variablesOf(deps(shared), keyOf(["resend", "acme"]), null)).map(({ name }) => name);
  expect(names.filter((name) => name === "RESEND_API_KEY")).toHaveLength(1);
  const different: Variables = [{ name: "RESEND_BASE_URL", is: "base_url" }];
  await expect(variablesOf(deps(different), keyOf(["resend", "acme"]), null)).rejects.toThrow(
    /^policy_denied: resend and acme both set RESEND_BASE_URL/,
  );
});
