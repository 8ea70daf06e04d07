/**
 * Goal: values arrive whole, passing failures are tried again within 5 s, and every other one is a sentence that names the secret and the fix
 * and holds nothing of a value.
 * Method: the real client library against a loopback server that speaks the documented REST. Limit: Google publishes no emulator of
 * Secret Manager, so that its answers are these is read, not seen; nor are IAM and Application Default Credentials.
 */
import { inspect } from "node:util";
import crc32c from "crc-32/crc32c.js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { SecretFault } from "../../examples/local-cloud/secret-manager.ts";
import { openSecretManager, type SecretManager } from "../../service/secrets/secret-manager.ts";
import { SecretManagerError } from "../../service/secrets/secret-manager-error.ts";
import { type LocalWorld, secretOf, startLocal } from "./local.ts";

const name = secretOf("stripe");
const canary = "sk_live_CANARY/51Hq+Zx9";

let world: LocalWorld;
let manager: SecretManager;

beforeAll(async () => {
  world = await startLocal();
  manager = await world.client();
});
afterAll(() => world?.close());
beforeEach(() => {
  world.local.addVersion(name, canary);
});
afterEach(() => {
  world.local.recover();
  world.local.received.length = 0;
});

async function failure(work: Promise<unknown>): Promise<SecretManagerError> {
  const error = await work.then(
    () => null,
    (each: unknown) => each,
  );
  if (!(error instanceof SecretManagerError)) throw new Error(`another end: ${inspect(error)}`);
  return error;
}

/** The value's requests and answers, in every form that the library has them in. */
function expectNoCanary(thing: unknown): void {
  const shown = inspect(thing, { depth: 20, showHidden: true, maxStringLength: null });
  for (const form of [canary, Buffer.from(canary).toString("base64"), "CANARY"]) expect(shown).not.toContain(form);
}

describe("the sum that travels with a value", () => {
  it("is CRC-32C, as RFC 3720 gives its example", () => {
    // https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4: 32 bytes of zeroes have aa 36 91 8a, least significant byte first.
    expect(crc32c.buf(Buffer.alloc(32)) >>> 0).toBe(0x8a9136aa);
  });

  it("is sent with a new version, and Secret Manager's refusal of a wrong one would be seen", async () => {
    const version = await manager.add(name, Buffer.from(`${canary}2`));
    expect(await manager.access(name, "latest")).toEqual({ version, data: Buffer.from(`${canary}2`) });
  });

  it("that does not fit refuses the value", async () => {
    world.local.failNext("damage");
    const error = await failure(manager.access(name, "latest"));
    expect([error.fault, error.message]).toEqual(["damaged", expect.stringContaining(`${name} arrived damaged`)]);
    expectNoCanary(error);
  });
});

describe("one version", () => {
  it("is read by its number or as the latest", async () => {
    const other = secretOf("two-versions");
    world.local.addVersion(other, "first-value");
    world.local.addVersion(other, "second-value");
    expect((await manager.access(other, 1)).data.toString()).toBe("first-value");
    expect(await manager.access(other, "latest")).toEqual({ version: 2, data: Buffer.from("second-value") });
    world.local.setState(other, 1, "DESTROYED");
    expect(await manager.versions(other)).toEqual([
      { version: 2, state: "enabled" },
      { version: 1, state: "destroyed" },
    ]);
  });

  it("needs no credential on loopback, and none is sent", async () => {
    await manager.access(name, "latest");
    expect(world.local.received.map(({ authorization }) => authorization)).toEqual([undefined]);
  });
});

describe("a failure that passes", () => {
  it.each<[string, SecretFault[]]>([
    ["503", [{ answer: 503 }, { answer: 503 }]],
    ["a reset connection", ["reset", "reset"]],
    ["an answer later than one try waits", [{ delayMs: 3_000 }]],
  ])("is tried again: %s", async (_what, faults) => {
    world.local.failNext(...faults);
    expect((await manager.access(name, "latest")).data.toString()).toBe(canary);
    expect(world.local.received.length).toBe(faults.length + 1);
  });

  it("and does not pass in 5 s is unavailable", async () => {
    world.local.failNext(...Array<SecretFault>(8).fill({ delayMs: 10_000 }));
    expect((await failure(manager.access(name, "latest"))).fault).toBe("unavailable");
  });

  it("is not tried again when a version is added, for it may have been", async () => {
    world.local.failNext({ answer: 503 });
    const error = await failure(manager.add(name, Buffer.from(canary)));
    expect([error.fault, world.local.received.length]).toEqual(["unavailable", 1]);
    expectNoCanary(error);
  });
});

describe("a failure that stays", () => {
  it.each<[string, number, string, RegExp]>([
    [
      "no permission",
      403,
      "denied",
      /does not let this account read its value; grant it roles\/secretmanager\.secretAccessor/,
    ],
    ["no such secret", 404, "missing", /does not exist or has no version; add one with `keybrake secrets set projects/],
    ["a refused credential", 401, "no_credential", /gcloud auth list/],
    ["a request that makes no sense", 400, "refused", /code 3/],
    ["an overload", 429, "unavailable", /RESOURCE_EXHAUSTED/],
    ["a fault of Google's", 500, "unavailable", /INTERNAL/],
  ])("is one sentence with the fix: %s", async (_what, status, fault, says) => {
    world.local.failNext({ answer: status });
    const error = await failure(manager.access(name, "latest"));
    expect(error.fault).toBe(fault);
    expect(error.message).toMatch(says);
    expect(error.message).toContain(name);
    expect([error.cause, Object.keys(error).sort()]).toEqual([undefined, ["fault", "name", "predicate"]]);
  });

  it("is not said of a secret without a version, which is there", async () => {
    world.local.createSecret(secretOf("unset"));
    expect((await failure(manager.access(secretOf("unset"), "latest"))).fault).toBe("missing");
    expect(await manager.isReadable(secretOf("unset"))).toBe(true);
    expect(await manager.isReadable(secretOf("nowhere"))).toBe(false);
  });

  it("is said of a version that is disabled or destroyed", async () => {
    const other = secretOf("away");
    for (const state of ["DISABLED", "DESTROYED"] as const) {
      world.local.setState(other, world.local.addVersion(other, canary), state);
      const error = await failure(manager.access(other, "latest"));
      expect([error.fault, error.message]).toEqual([
        "disabled",
        expect.stringContaining("enable it, or add a new one"),
      ]);
    }
  });

  it("holds nothing of the request that it is about, as the library's own error does", async () => {
    for (const fault of [{ answer: 403 }, { answer: 400 }, "reset"] as const) {
      world.local.failNext(fault);
      expectNoCanary(await failure(manager.add(name, Buffer.from(canary))));
    }
  });
});

describe("the library's own log", () => {
  it("stays silent though GOOGLE_SDK_NODE_LOGGING asks for every answer", async () => {
    const written = vi.spyOn(console, "error").mockImplementation(() => {});
    vi.stubEnv("GOOGLE_SDK_NODE_LOGGING", "all");
    try {
      const loud = await openSecretManager(world.url);
      await loud.access(name, "latest");
      await loud.add(name, Buffer.from(canary));
      expect(written.mock.calls).toEqual([]);
    } finally {
      written.mockRestore();
      vi.unstubAllEnvs();
    }
  });
});
