/**
 * Goal: every wrong or missing variable stops the start with a sentence that names it and a valid value.
 * Method: tables of environments into the pure function. Limit: opens no file, store or port.
 */
import { describe, expect, it } from "vitest";
import { ConfigError, type Environment, readConfig } from "../../service/config.ts";

const stripe = {
  KEYBRAKE_VENDORS: '{"stripe":{"secret":"env:STRIPE_SECRET_KEY"}}',
  STRIPE_SECRET_KEY: "sk_test_canary1",
};

function problemsOf(env: Environment): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("what nothing sets", () => {
  it("is the loopback, port 8080, a file in this directory and its pepper", () => {
    const config = readConfig({});
    expect(config).toMatchObject({
      host: "127.0.0.1",
      port: 8080,
      store: "sqlite:keybrake.db",
      adminKey: null,
      pepper: { from: "file", path: "keybrake.db.pepper" },
      firestoreEmulator: null,
      retentionDays: 400,
      policiesFile: null,
      googleApis: null,
      metricsUrl: null,
      connectors: null,
      audience: null,
    });
    expect(config.vendors.size).toBe(0);
    expect(config.warnings.join()).toContain("KEYBRAKE_VENDORS lists no vendor");
  });

  it("counts an empty variable as not set", () => {
    const config = readConfig({ PORT: "", KEYBRAKE_STORE: " ", KEYBRAKE_ADMIN_KEY: "", KEYBRAKE_VENDORS: "" });
    expect(config).toMatchObject({ port: 8080, store: "sqlite:keybrake.db", adminKey: null });
  });

  it("listens on every address on Cloud Run, and where HOST says otherwise there too", () => {
    expect(readConfig({ K_SERVICE: "keybrake" }).host).toBe("0.0.0.0");
    expect(readConfig({ K_SERVICE: "keybrake", HOST: "127.0.0.1" }).host).toBe("127.0.0.1");
  });
});

describe("what is set", () => {
  it("is taken: store, pepper, port 0, audience, vendors with their upstream", () => {
    const config = readConfig({
      PORT: "0",
      KEYBRAKE_STORE: "sqlite:/tmp/a b.db",
      KEYBRAKE_PEPPER: "file:/run/pepper",
      KEYBRAKE_AUDIENCE: "keybrake/p/l/n",
      STRIPE_SECRET_KEY: "sk_live_canary22",
      KEYBRAKE_VENDORS:
        '{"stripe":{"secret":"env:STRIPE_SECRET_KEY","upstream":"http://127.0.0.1:4001"},"resend":{"secret":"file:/run/resend"}}',
    });
    expect(config).toMatchObject({
      port: 0,
      store: "sqlite:/tmp/a b.db",
      pepper: { from: "file", path: "/run/pepper" },
      audience: "keybrake/p/l/n",
      warnings: [],
    });
    const { secret, upstream } = config.vendors.get("stripe")!;
    expect(upstream).toBe("http://127.0.0.1:4001");
    expect(secret.from === "env" && secret.value.reveal()).toBe("sk_live_canary22");
    expect(config.vendors.get("resend")).toEqual({ secret: { from: "file", path: "/run/resend" }, upstream: null });
  });

  it("gives a store in memory a pepper in memory", () => {
    expect(readConfig({ KEYBRAKE_STORE: "sqlite::memory:" }).pepper).toEqual({ from: "memory" });
    expect(readConfig({ KEYBRAKE_STORE: "sqlite::memory:", KEYBRAKE_PEPPER: "file:p" }).pepper).toEqual({
      from: "file",
      path: "p",
    });
  });

  it("takes Firestore with its secrets in Secret Manager", () => {
    const config = readConfig({
      KEYBRAKE_STORE: "firestore:my-project/keybrake",
      KEYBRAKE_PEPPER: "projects/p/secrets/pepper",
      KEYBRAKE_RETENTION_DAYS: "30",
      KEYBRAKE_GOOGLE_APIS: "http://127.0.0.1:8085",
      KEYBRAKE_VENDORS: '{"stripe":{"secret":"projects/p/secrets/stripe"}}',
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318/",
    });
    expect(config).toMatchObject({
      store: "firestore:my-project/keybrake",
      pepper: { from: "manager", name: "projects/p/secrets/pepper" },
      firestoreEmulator: null,
      retentionDays: 30,
      googleApis: "http://127.0.0.1:8085",
      traceProject: "my-project",
      metricsUrl: "http://collector:4318/v1/metrics",
    });
    expect(config.vendors.get("stripe")?.secret).toEqual({ from: "manager", name: "projects/p/secrets/stripe" });
  });

  it("takes the emulator of Firestore for Firestore only, and warns of it", () => {
    const emulator = { FIRESTORE_EMULATOR_HOST: "127.0.0.1:8080" };
    const config = readConfig({
      ...emulator,
      KEYBRAKE_STORE: "firestore:my-project/keybrake",
      KEYBRAKE_PEPPER: "file:p",
    });
    expect(config.firestoreEmulator).toBe("127.0.0.1:8080");
    expect(config.warnings.join()).toContain("in the emulator at 127.0.0.1:8080");
    expect(readConfig(emulator).firestoreEmulator).toBeNull();
  });

  it("reads connectors as a file or as JSON", () => {
    expect(readConfig({ KEYBRAKE_CONNECTORS: "./mine.json" }).connectors).toEqual({
      from: "file",
      path: "./mine.json",
    });
    expect(readConfig({ KEYBRAKE_CONNECTORS: '[{"id":"x"}]' }).connectors).toEqual({
      from: "json",
      text: '[{"id":"x"}]',
    });
  });

  it.each([
    "https://api.stripe.com",
    "https://api.stripe.com:8443",
    "http://localhost:1",
    "http://127.9.9.9",
    "http://[::1]:80",
  ])("takes the upstream %s", (upstream) => {
    const vendors = JSON.stringify({ stripe: { secret: "file:s", upstream } });
    expect(readConfig({ KEYBRAKE_VENDORS: vendors }).vendors.get("stripe")?.upstream).toBe(new URL(upstream).origin);
  });

  it("shows no secret in any printed form of the configuration", async () => {
    const { inspect } = await import("node:util");
    const config = readConfig({ ...stripe, KEYBRAKE_ADMIN_KEY: "canary-admin-key-0123456789abcdefghij" });
    const shown = [JSON.stringify({ ...config, vendors: [...config.vendors] }), inspect(config, { depth: 10 })].join();
    expect(shown).not.toContain("canary");
    expect(shown).toContain("[secret stripe]");
  });
});

describe("what is wrong", () => {
  it.each<[string, Environment, RegExp]>([
    ["a port that is no number", { PORT: "http" }, /^PORT .*8080\.$/],
    ["a port too high", { PORT: "65536" }, /^PORT .*8080\.$/],
    ["a negative port", { PORT: "-1" }, /^PORT .*8080\.$/],
    ["a host with spaces", { HOST: "a b" }, /^HOST .*127\.0\.0\.1\.$/],
    ["a store of no kind", { KEYBRAKE_STORE: "keybrake.db" }, /^KEYBRAKE_STORE .*sqlite:keybrake\.db\.$/],
    ["a store without a file", { KEYBRAKE_STORE: "sqlite:" }, /^KEYBRAKE_STORE .*sqlite:keybrake\.db\.$/],
    [
      "Firestore without a project's id",
      { KEYBRAKE_STORE: "firestore:p/d" },
      /Firestore.*firestore:my-project\/keybrake\.$/,
    ],
    [
      "Firestore without a pepper",
      { KEYBRAKE_STORE: "firestore:my-project/keybrake" },
      /^KEYBRAKE_PEPPER is missing.*projects\/my-project\/secrets\/keybrake-pepper\.$/,
    ],
    ["a retention of no days", { KEYBRAKE_RETENTION_DAYS: "0" }, /^KEYBRAKE_RETENTION_DAYS .* from 1 to 36500.*400\.$/],
    [
      "an emulator without a port",
      {
        KEYBRAKE_STORE: "firestore:my-project/keybrake",
        KEYBRAKE_PEPPER: "file:p",
        FIRESTORE_EMULATOR_HOST: "http://localhost",
      },
      /^FIRESTORE_EMULATOR_HOST must be HOST:PORT.*127\.0\.0\.1:8080\.$/,
    ],
    [
      "an emulator on a port that is none",
      {
        KEYBRAKE_STORE: "firestore:my-project/keybrake",
        KEYBRAKE_PEPPER: "file:p",
        FIRESTORE_EMULATOR_HOST: "127.0.0.1:99999",
      },
      /^FIRESTORE_EMULATOR_HOST must be HOST:PORT.*127\.0\.0\.1:8080\.$/,
    ],
    [
      "an audience with a space",
      { KEYBRAKE_AUDIENCE: "keybrake my-project" },
      /^KEYBRAKE_AUDIENCE .*keybrake\/my-project\/us-central1\/keybrake\.$/,
    ],
    [
      "Google's APIs elsewhere",
      { KEYBRAKE_GOOGLE_APIS: "https://run.example.com" },
      /^KEYBRAKE_GOOGLE_APIS .*loopback/,
    ],
    [
      "policies in a file beside Firestore",
      {
        KEYBRAKE_STORE: "firestore:my-project/keybrake",
        KEYBRAKE_PEPPER: "projects/p/secrets/s",
        KEYBRAKE_POLICIES: "file:p.json",
      },
      /^KEYBRAKE_POLICIES .*unset KEYBRAKE_POLICIES\.$/,
    ],
    ["an exporter of no URL", { OTEL_EXPORTER_OTLP_ENDPOINT: "collector" }, /^OTEL_EXPORTER_OTLP_ENDPOINT .*http:\/\//],
    [
      "a short admin key",
      { KEYBRAKE_ADMIN_KEY: "short" },
      /^KEYBRAKE_ADMIN_KEY has 5 characters .* at least 32.*openssl/,
    ],
    [
      "an admin key with a line end",
      { KEYBRAKE_ADMIN_KEY: `${"k".repeat(40)}\n` },
      /^KEYBRAKE_ADMIN_KEY .*visible ASCII/,
    ],
    ["a pepper without its kind", { KEYBRAKE_PEPPER: "pepper" }, /^KEYBRAKE_PEPPER .*file:keybrake\.pepper\.$/],
    [
      "a pepper at a version of its own",
      { KEYBRAKE_PEPPER: "projects/p/secrets/s/versions/1" },
      /^KEYBRAKE_PEPPER .*projects\/PROJECT\/secrets\/SECRET; /,
    ],
    ["vendors that are no JSON", { KEYBRAKE_VENDORS: "stripe" }, /^KEYBRAKE_VENDORS is not JSON.*"stripe"/],
    ["vendors as a list", { KEYBRAKE_VENDORS: "[]" }, /^KEYBRAKE_VENDORS is wrong.*"stripe"/],
    [
      "a vendor with an unknown field",
      { KEYBRAKE_VENDORS: '{"stripe":{"secret":"file:x","url":"y"}}' },
      /wrong at stripe/,
    ],
    [
      "a vendor with a field nearly right",
      { KEYBRAKE_VENDORS: '{"stripe":{"secret":"env:STRIPE_SECRET_KEY","upstreem":"https://a.example"}}' },
      /wrong at stripe\.upstreem/,
    ],
    ["a vendor without its secret", { KEYBRAKE_VENDORS: '{"stripe":{}}' }, /wrong at stripe\.secret/],
    [
      "a variable that is not set",
      { KEYBRAKE_VENDORS: stripe.KEYBRAKE_VENDORS },
      /STRIPE_SECRET_KEY, which is not set; set STRIPE_SECRET_KEY/,
    ],
    [
      "a secret at a version of its own",
      { KEYBRAKE_VENDORS: '{"stripe":{"secret":"projects/p/secrets/s/versions/1"}}' },
      /no secret for stripe: without a version.*"projects\/my-project\/secrets\/stripe"/,
    ],
    ["a name with a typing mistake", { KEYBRAKE_VENDOR: "{}" }, /^KEYBRAKE_VENDOR is not .* write KEYBRAKE_VENDORS/],
  ])("says so of %s", (_what, env, sentence) => {
    const problems = problemsOf(env);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(sentence);
  });

  it.each([
    "http://api.stripe.com",
    "https://api.stripe.com/v1",
    "https://user:pw@api.stripe.com",
    "https://api.stripe.com?x=1",
    "ftp://127.0.0.1",
    "http://127.0.0.1.evil.example",
    "http://localhost.evil.example",
    "api.stripe.com",
  ])("refuses the upstream %s", (upstream) => {
    const [problem] = problemsOf({ KEYBRAKE_VENDORS: JSON.stringify({ stripe: { secret: "file:s", upstream } }) });
    expect(problem).toMatch(/"upstream" for stripe.*"https:\/\/api\.example\.com"/);
  });

  it("does not repeat a secret that stands where its place belongs", () => {
    const [problem] = problemsOf({ KEYBRAKE_VENDORS: '{"stripe":{"secret":"sk_live_canary"}}' });
    expect(problem).toContain("where the secret of stripe is");
    expect(problem).not.toContain("canary");
  });

  it("tells all problems at once", () => {
    expect(problemsOf({ PORT: "x", KEYBRAKE_STORE: "x", KEYBRAKE_ADMIN_KEY: "x", KEYBRAKE_VENDORS: "x" })).toHaveLength(
      4,
    );
  });

  it("leaves a far-off name aside with a warning, and the command line's names without one", () => {
    const { warnings } = readConfig({ ...stripe, KEYBRAKE_SOMETHING_ELSE_OF_OTHERS: "1", KEYBRAKE_URL: "http://x" });
    expect(warnings).toEqual([
      "KEYBRAKE_SOMETHING_ELSE_OF_OTHERS is not a variable of this service; it is left aside.",
    ]);
  });
});
