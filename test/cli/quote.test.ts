/**
 * Goal: `keybrake quote` tells offline what the proxy would reserve for a call, or why it would refuse it.
 * Method: the real executable without any proxy, over the built-in connectors and one of the user's own.
 * Limit: prices come from the connectors; that they are right is tested with the connectors.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runCli } from "./run-cli.ts";
import { runHere } from "./run-here.ts";

async function quote(...args: string[]): Promise<Record<string, unknown>> {
  const result = await runCli(["quote", ...args]);
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return JSON.parse(result.stdout) as Record<string, unknown>;
}

describe("what a call would reserve", () => {
  it("a payment intent reserves its amount", async () => {
    const explained = await quote(
      "--vendor",
      "stripe",
      "--",
      "POST",
      "/v1/payment_intents",
      "amount=4000",
      "currency=usd",
    );
    expect(explained).toMatchObject({
      vendor: "stripe",
      endpoint: "POST /v1/payment_intents",
      kind: "priced",
      reserve_usd: "40.00",
      reserve_micros: 40_000_000,
      currency: "usd",
      amount_minor: 4000,
      lookup: null,
    });
    expect(explained.why).toMatch(/40\.00/);
  });

  it("bracketed names nest, and values may hold `=` and spaces", async () => {
    const explained = await quote(
      "--vendor",
      "stripe",
      "--",
      "POST",
      "/v1/payment_intents",
      "amount=1",
      "currency=usd",
      "metadata[a]=b=c d",
      "metadata[e]=&f",
    );
    expect(explained).toMatchObject({ reserve_usd: "0.01" });
  });

  it("each recipient of a mail costs, and a repeated name is a list", async () => {
    const mail = ["--vendor", "resend", "--", "POST", "/emails", "from=a@example.com", "subject=Hi", "text=Hello"];
    const one = await quote(...mail, "to=b@example.com");
    const two = await quote(...mail, "to=b@example.com", "to=c@example.com");
    expect(Number(one.reserve_micros)).toBeGreaterThan(0);
    expect(two.reserve_micros).toBe(2 * Number(one.reserve_micros));
  });

  it("a free read reserves nothing", async () => {
    expect(await quote("--vendor", "stripe", "--", "GET", "/v1/customers/cus_1")).toMatchObject({
      kind: "free",
      reserve_micros: 0,
    });
  });

  it("a call whose price the vendor must be asked for names the read", async () => {
    const explained = await quote("--vendor", "stripe", "--", "POST", "/v1/payment_intents/pi_1/confirm");
    expect(explained).toMatchObject({
      reserve_micros: null,
      lookup: expect.stringContaining("/v1/payment_intents/pi_1"),
    });
  });

  it("a person sees the sum and the reason", async () => {
    const args = ["quote", "--vendor", "stripe", "--", "POST", "/v1/payment_intents", "amount=4000", "currency=usd"];
    const { code, stdout } = await runHere(args, { terminal: true });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^call +stripe POST \/v1\/payment_intents\nreserves +\$40\.00\nwhy +\S.*\n$/);
  });
});

describe("a call that the proxy would refuse", () => {
  it.each([
    {
      what: "another currency",
      args: ["stripe", "POST", "/v1/payment_intents", "amount=4000", "currency=eur"],
      code: "currency_not_allowed",
    },
    { what: "no amount", args: ["stripe", "POST", "/v1/payment_intents", "currency=usd"], code: "request_invalid" },
    {
      what: "a fraction of a cent",
      args: ["stripe", "POST", "/v1/payment_intents", "amount=1.5", "currency=usd"],
      code: "request_invalid",
    },
    { what: "an endpoint without a rule", args: ["stripe", "POST", "/v1/nothing"], code: "endpoint_unpriced" },
    {
      what: "a field twice",
      args: ["stripe", "POST", "/v1/payment_intents", "amount=1", "amount=2", "currency=usd"],
      code: "request_invalid",
    },
  ])("$what exits 1 with $code", async ({ args: [vendor = "", ...rest], code }) => {
    const result = await runHere(["quote", "--vendor", vendor, "--", ...rest]);
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toMatch(new RegExp(`^keybrake: ${code}: [^\\n]+\\n$`));
  });
});

describe("wrong usage", () => {
  it.each([
    {
      what: "an unknown vendor",
      args: ["--vendor", "strip", "GET", "/v1/customers"],
      says: /none of stripe, twilio, resend/,
    },
    {
      what: "a field without a value",
      args: ["--vendor", "stripe", "POST", "/v1/charges", "amount"],
      says: /name=value/,
    },
    { what: "a path without its slash", args: ["--vendor", "stripe", "POST", "v1/charges"], says: /is no path/ },
    { what: "no method", args: ["--vendor", "stripe", "/v1/charges", "amount=1"], says: /no HTTP method/ },
    { what: "no vendor", args: ["POST", "/v1/charges"], says: /--vendor/ },
    {
      what: "a connector file that is not there",
      args: ["--vendor", "x", "--connectors", "/no/such", "GET", "/"],
      says: /ENOENT/,
    },
  ])("$what exits 2", async ({ args, says }) => {
    const result = await runHere(["quote", ...args]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toMatch(says);
  });
});

describe("the user's own connectors", () => {
  const connector = {
    id: "courier",
    name: "Courier",
    upstream: "https://api.courier.example",
    credential: { type: "bearer" },
    body: { codec: "json" },
    rules: [{ endpoint: "POST /parcels", quote: { micros: "2500000", why: "one price for every parcel" } }],
  };

  it("are read from a file or from KEYBRAKE_CONNECTORS", async () => {
    const directory = await mkdtemp(join(tmpdir(), "keybrake-quote-"));
    const file = join(directory, "connectors.json");
    const call = ["--vendor", "courier", "POST", "/parcels"];
    try {
      await writeFile(file, JSON.stringify([connector]));
      expect(await quote("--connectors", file, ...call)).toMatchObject({ vendor: "courier", reserve_usd: "2.50" });
      for (const value of [file, `file:${file}`, JSON.stringify([connector])]) {
        const result = await runHere(["quote", ...call], { env: { KEYBRAKE_CONNECTORS: value } });
        expect(JSON.parse(result.stdout)).toMatchObject({ reserve_micros: 2_500_000 });
      }
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it("that are wrong are refused with the place", async () => {
    const env = { KEYBRAKE_CONNECTORS: JSON.stringify([{ ...connector, body: { codec: "xml" } }]) };
    const result = await runHere(["quote", "--vendor", "courier", "POST", "/parcels"], { env });
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toMatch(/^keybrake: connector refused: connectors\[0\]\.body[^\n]*\n$/);
  });
});
