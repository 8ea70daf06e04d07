/**
 * Goal: only a token that Google signed, for this proxy, for an account with a verified e-mail, that is valid now, gets in; and what
 * is refused costs nearly nothing. Method: the real verification (google-auth-library included) against a loopback server with
 * Google's key set, with RSA keys of the test's own. Limit: no real Google token is seen. google-auth-library reads the system's
 * clock, with 300 s of grace; ours (60 s) is checked before, so the test moves both.
 */
import { createHmac, generateKeyPairSync, type KeyObject } from "node:crypto";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createGoogleIdentity, type GoogleIdentity, subjectOf } from "../../examples/local-cloud/google-identity.ts";
import { type LocalServer, serveLocalApis } from "../../examples/local-cloud/local-api.ts";
import { IdTokens } from "../../service/control/id-token.ts";
import { GoogleKeys } from "../../service/control/id-token-keys.ts";
import { createLogger } from "../../service/log.ts";

const AUDIENCE = "keybrake/my-project/us-central1/keybrake";
const EMAIL = "scheduler@my-project.iam.gserviceaccount.com";
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A public key that is none of Google's. */
const otherKey = () => generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
const jwkOf = (key: KeyObject) => ({ ...key.export({ format: "jwk" }), kid: "other", alg: "RS256", use: "sig" });

let google: GoogleIdentity;
let server: LocalServer;
let tokens: IdTokens;
let logged: string[];
let fetches: number;

const account = { email: EMAIL, sub: subjectOf(EMAIL) };

async function start(): Promise<void> {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2026, 10, 22, 10) });
  google = createGoogleIdentity({ maxAgeS: 6 * 3600 });
  server = await serveLocalApis([google.api]);
  logged = [];
  fetches = 0;
  const keys = new GoogleKeys({
    clock: { now: Date.now },
    log: createLogger({ write: (line) => logged.push(line) }),
    googleApis: server.url,
    fetch: (...given) => {
      fetches += 1;
      return fetch(...given);
    },
  });
  tokens = new IdTokens({ audience: AUDIENCE, keys, clock: { now: Date.now } });
}

async function stop(): Promise<void> {
  await server.close();
  vi.useRealTimers();
}

const forward = (ms: number): void => void vi.setSystemTime(Date.now() + ms);
const claims = (more: Record<string, unknown> = {}) => ({ ...google.claims(EMAIL, AUDIENCE), ...more });
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const seconds = (): number => Math.floor(Date.now() / 1000);

beforeEach(start);
afterEach(stop);
afterAll(() => vi.useRealTimers());

describe("a token that is right", () => {
  test("tells the account", async () => {
    expect(await tokens.verify(google.idToken(EMAIL, AUDIENCE))).toEqual(account);
  });

  test("may name its issuer in either spelling", async () => {
    expect(await tokens.verify(google.sign(claims({ iss: "accounts.google.com" })))).toEqual(account);
  });

  test("gives the e-mail in lower case", async () => {
    expect(await tokens.verify(google.sign(claims({ email: "Scheduler@My-Project.iam.GServiceAccount.com" })))).toEqual(
      account,
    );
  });

  test("is taken 59 s before its time and 59 s after it", async () => {
    const token = google.idToken(EMAIL, AUDIENCE);
    forward(-59_000);
    expect(await tokens.verify(token)).toEqual(account);
    forward(HOUR + 118_000);
    expect(await tokens.verify(token)).toEqual(account);
  });
});

describe("a token that is wrong", () => {
  const wrong: Record<string, () => string> = {
    "for another audience": () => google.idToken(EMAIL, "keybrake/my-project/us-central1/other"),
    "for our audience in capitals": () => google.idToken(EMAIL, AUDIENCE.toUpperCase()),
    "for a list of audiences that has ours": () => google.sign(claims({ aud: [AUDIENCE] })),
    "without an audience": () => google.sign(claims({ aud: undefined })),
    "of another issuer": () => google.sign(claims({ iss: "https://accounts.google.com.example.com" })),
    "without an issuer": () => google.sign(claims({ iss: undefined })),
    "of alg none": () => `${part({ alg: "none", kid: google.kid })}.${part(claims())}.`,
    "of alg none with a signature": () => google.sign(claims(), { alg: "none" }),
    "of HS256 under the public key": () => {
      const signed = `${part({ alg: "HS256", kid: google.kid, typ: "JWT" })}.${part(claims())}`;
      return `${signed}.${createHmac("sha256", google.publicKey).update(signed).digest("base64url")}`;
    },
    "of RS256 by name and HS256 in fact": () => {
      const signed = `${part({ alg: "RS256", kid: google.kid, typ: "JWT" })}.${part(claims())}`;
      const mac = createHmac("sha256", google.publicKey).update(signed).digest("base64url");
      return `${signed}.${mac.padEnd(342, "A")}`;
    },
    "of RS512": () => google.sign(claims(), { alg: "RS512" }),
    "of another type": () => google.sign(claims(), { typ: "at+jwt" }),
    "with a critical extension": () => google.sign(claims(), { crit: ["b64"], b64: false }),
    "of a key that Google has not": () => google.sign(claims(), { kid: "0".repeat(40) }),
    "of a key named like a property of every object": () => google.sign(claims(), { kid: "constructor" }),
    "without a key id": () => google.sign(claims(), { kid: undefined }),
    "signed by somebody else's key under Google's key id": () =>
      createGoogleIdentity().sign(claims(), { kid: google.kid }),
    "with claims changed after the signature": () => {
      const [header, , signature] = google.idToken(EMAIL, AUDIENCE).split(".");
      return `${header}.${part(claims({ email: "owner@my-project.iam.gserviceaccount.com" }))}.${signature}`;
    },
    "that ended 61 s ago": () => google.sign(claims({ iat: seconds() - 3661, exp: seconds() - 61 })),
    "that begins in 61 s": () => google.sign(claims({ iat: seconds() + 61, exp: seconds() + 3661 })),
    "that may not be used for another 61 s": () => google.sign(claims({ nbf: seconds() + 61 })),
    "that lives three hours": () => google.sign(claims({ exp: seconds() + 3 * 3600 })),
    "that ends before it begins": () => google.sign(claims({ iat: seconds() + 30, exp: seconds() - 30 })),
    "without an end": () => google.sign(claims({ exp: undefined })),
    "whose end is a text": () => google.sign(claims({ exp: String(seconds() + 3600) })),
    "without a beginning": () => google.sign(claims({ iat: undefined })),
    "without an e-mail": () => google.idToken(EMAIL, AUDIENCE, { full: false }),
    "whose e-mail is not verified": () => google.sign(claims({ email_verified: false })),
    "whose e-mail is verified by a text": () => google.sign(claims({ email_verified: "true" })),
    "without a subject": () => google.sign(claims({ sub: undefined })),
    "cut by a character": () => google.idToken(EMAIL, AUDIENCE).slice(0, -1),
    "cut to its claims": () => google.idToken(EMAIL, AUDIENCE).split(".").slice(0, 2).join("."),
    "with a fourth part": () => `${google.idToken(EMAIL, AUDIENCE)}.AAAA`,
    "with a letter outside base64url": () => google.idToken(EMAIL, AUDIENCE).replace(".", "=."),
    "that is huge": () => google.sign(claims({ filler: "x".repeat(100_000) })),
    "whose claims are a list": () => google.sign([claims()] as unknown as Record<string, unknown>),
    "whose claims are no JSON": () => {
      const [header, , signature] = google.idToken(EMAIL, AUDIENCE).split(".");
      return `${header}.${Buffer.from('{"aud":').toString("base64url")}.${signature}`;
    },
    "that is an empty text": () => "",
  };

  for (const [name, make] of Object.entries(wrong)) {
    test(`${name} is refused`, async () => {
      // The keys are there: it is the token that is wrong.
      expect(await tokens.verify(google.idToken(EMAIL, AUDIENCE))).toEqual(account);
      expect(await tokens.verify(make())).toBeNull();
    });
  }

  test("makes no request when its own words show that it is wrong", async () => {
    for (const name of [
      "for another audience",
      "of another issuer",
      "that lives three hours",
      "of alg none",
      "that ended 61 s ago",
      "that is huge",
      "of RS512",
    ]) {
      await tokens.verify(wrong[name]!());
    }
    expect(fetches).toBe(0);
  });
});

describe("Google's keys", () => {
  test("are read once for many tokens, and once for many that come at once", async () => {
    const token = google.idToken(EMAIL, AUDIENCE);
    const all = await Promise.all(Array.from({ length: 50 }, () => tokens.verify(token)));
    expect(all).toEqual(Array.from({ length: 50 }, () => account));
    forward(50 * MINUTE);
    await tokens.verify(token);
    expect(google.requests).toBe(1);
  });

  test("are read again when Google's answer says so", async () => {
    await tokens.verify(google.idToken(EMAIL, AUDIENCE));
    forward(6 * HOUR);
    expect(await tokens.verify(google.idToken(EMAIL, AUDIENCE))).toEqual(account);
    expect(google.requests).toBe(2);
  });

  test("are read again for a key that is new, so that a rotation refuses nobody", async () => {
    await tokens.verify(google.idToken(EMAIL, AUDIENCE));
    forward(2 * MINUTE);
    google.rotate();
    expect(await tokens.verify(google.idToken(EMAIL, AUDIENCE))).toEqual(account);
    expect(google.requests).toBe(2);
  });

  test("that are withdrawn stop to count when they are read again", async () => {
    const old = google.idToken(EMAIL, AUDIENCE);
    expect(await tokens.verify(old)).toEqual(account);
    google.rotate(false);
    forward(2 * MINUTE);
    await tokens.verify(google.idToken(EMAIL, AUDIENCE));
    expect(await tokens.verify(old)).toBeNull();
  });

  test("are asked for unknown keys at most once a minute, however many tokens name some", async () => {
    await tokens.verify(google.idToken(EMAIL, AUDIENCE));
    for (let second = 0; second < 180; second += 1) {
      forward(1000);
      expect(await tokens.verify(google.sign(claims(), { kid: `unknown-${second}` }))).toBeNull();
    }
    expect(google.requests).toBe(1 + 3);
  });

  test("that cannot be read refuse every token, and the server is asked at most once in five seconds", async () => {
    google.answerWith({ status: 503, text: "down" });
    for (let second = 0; second < 60; second += 1) {
      expect(await tokens.verify(google.idToken(EMAIL, AUDIENCE))).toBeNull();
      forward(1000);
    }
    expect(google.requests).toBe(12);
    expect(logged).toHaveLength(1);
    google.answerWith(null);
    expect(await tokens.verify(google.idToken(EMAIL, AUDIENCE))).toEqual(account);
  });

  test("stay in use for an hour beyond their time while the server is down, and no longer", async () => {
    await tokens.verify(google.idToken(EMAIL, AUDIENCE));
    google.answerWith({ reset: true });
    forward(6 * HOUR + 59 * MINUTE);
    expect(await tokens.verify(google.idToken(EMAIL, AUDIENCE))).toEqual(account);
    forward(MINUTE);
    expect(await tokens.verify(google.idToken(EMAIL, AUDIENCE))).toBeNull();
  });

  test("are asked for once at a time, however long the server takes", async () => {
    let asked = 0;
    const ends: (() => void)[] = [];
    const keys = new GoogleKeys({
      clock: { now: Date.now },
      log: createLogger({ write: () => {} }),
      googleApis: server.url,
      fetch: async (...given) => {
        asked += 1;
        await new Promise<void>((resolve) => ends.push(resolve));
        return fetch(...given);
      },
    });
    const found = [keys.key(google.kid)];
    forward(10_000);
    found.push(keys.key(google.kid), keys.key("unknown"));
    for (const end of ends) end();
    expect(await Promise.all(found)).toEqual([google.publicKey, google.publicKey, null]);
    expect(asked).toBe(1);
  });

  test("count, whatever other kinds of keys stand beside them", async () => {
    const { keys } = (await (await fetch(`${server.url}/oauth2/v3/certs`)).json()) as { keys: object[] };
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const other = { ...publicKey.export({ format: "jwk" }), kid: "ec", alg: "ES256", use: "sig" };
    google.answerWith({ status: 200, text: JSON.stringify({ keys: [other, { kty: "AKP" }, ...keys] }) });
    expect(await tokens.verify(google.idToken(EMAIL, AUDIENCE))).toEqual(account);
    expect(logged).toEqual([]);
  });

  const garbage: Record<string, string> = {
    "no JSON": "<html>",
    "no keys": '{"keys":[]}',
    "a key without a modulus": '{"keys":[{"kty":"RSA","kid":"a","e":"AQAB"}]}',
    "a short key": '{"keys":[{"kty":"RSA","kid":"a","n":"wVwAAQ","e":"AQAB"}]}',
    "another kind of key": '{"keys":[{"kty":"oct","kid":"a","n":"","e":"","k":"c2VjcmV0"}]}',
    "right keys in too long a text": JSON.stringify({ keys: [jwkOf(otherKey())], filler: "x".repeat(100_000) }),
  };
  for (const [name, text] of Object.entries(garbage)) {
    test(`answered with ${name} leave the known ones in use`, async () => {
      await tokens.verify(google.idToken(EMAIL, AUDIENCE));
      google.answerWith({ status: 200, text });
      forward(6 * HOUR);
      expect(await tokens.verify(google.idToken(EMAIL, AUDIENCE))).toEqual(account);
      expect(google.requests).toBe(2);
      expect(logged.join()).toContain("cannot be read");
    });
  }

  test("are followed to no other address", async () => {
    google.answerWith({ status: 302, text: "", headers: { location: `${server.url}/oauth2/v3/certs` } });
    expect(await tokens.verify(google.idToken(EMAIL, AUDIENCE))).toBeNull();
    expect(google.requests).toBe(1);
  });
});

test("no token gets into the log, whatever is wrong with it", async () => {
  const token = google.idToken(EMAIL, AUDIENCE);
  await tokens.verify(`${token.slice(0, -20)}${"A".repeat(20)}`);
  google.answerWith({ status: 500, text: token });
  forward(7 * HOUR);
  await tokens.verify(google.idToken(EMAIL, AUDIENCE));
  expect(logged).not.toHaveLength(0);
  expect(logged.join()).not.toContain(token.split(".")[1]);
});
