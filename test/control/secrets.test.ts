/**
 * Goal: vendors' secrets are read once, anew at most every 10 s, and shown in no printed form; the pepper is made once.
 * Method: real files in a temporary directory, a clock that the test moves. Limit: a power cut is not simulated, only the calls
 * that guard against it are made.
 */
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemRandom } from "../../service/clock.ts";
import { createLogger } from "../../service/log.ts";
import { bindPeppers, openPepperFile, pepperInMemory } from "../../service/secrets/pepper.ts";
import { secretReader } from "../../service/secrets/read-secret.ts";
import { Secret } from "../../service/secrets/secret.ts";
import { VendorSecrets } from "../../service/secrets/vendor-secrets.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import type { SecretReference } from "../../service/vendor-config.ts";

let directory: string;
let logged: string[];
let now: number;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "keybrake-secrets-"));
  logged = [];
  now = 1_000_000;
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function source(references: Record<string, SecretReference>): VendorSecrets {
  return new VendorSecrets({
    read: secretReader(() => Promise.reject(new Error("no Secret Manager here"))),
    references: new Map(Object.entries(references)),
    clock: { now: () => now },
    log: createLogger({ write: (line) => logged.push(line) }),
  });
}

describe("a secret", () => {
  it("shows its name in every printed form, and its text only when it is revealed", () => {
    const secret = new Secret("stripe", "sk_test_canary");
    const shown = [
      String(secret),
      `${secret}`,
      JSON.stringify({ secret }),
      inspect({ deep: [secret] }),
      inspect(secret, { showHidden: true }),
    ];
    for (const text of shown) {
      expect(text).toContain("[secret stripe]");
      expect(text).not.toContain("canary");
    }
    expect(Object.keys(secret)).toEqual([]);
    expect(secret.reveal()).toBe("sk_test_canary");
  });
});

describe("local secrets", () => {
  it("come from the environment, and from a file without its last line end", async () => {
    const path = join(directory, "twilio");
    await writeFile(path, "AC00:token-of-twilio\n");
    const secrets = source({
      stripe: { from: "env", name: "S", value: new Secret("stripe", "sk_test_1") },
      twilio: { from: "file", path },
    });
    expect(await secrets.get("stripe")).toBe("sk_test_1");
    expect(await secrets.get("twilio")).toBe("AC00:token-of-twilio");
  });

  it("are read anew on refresh, at most once in 10 s, and tell whether they changed", async () => {
    const path = join(directory, "stripe");
    await writeFile(path, "sk_test_old_canary");
    const secrets = source({ stripe: { from: "file", path } });
    expect(await secrets.get("stripe")).toBe("sk_test_old_canary");
    await writeFile(path, "sk_test_new_canary");
    expect(await secrets.get("stripe")).toBe("sk_test_old_canary");
    expect(await secrets.refresh("stripe")).toBe(true);
    expect(await secrets.get("stripe")).toBe("sk_test_new_canary");

    await writeFile(path, "sk_test_third_canary");
    now += 9_999;
    expect(await secrets.refresh("stripe")).toBe(false);
    expect(await secrets.get("stripe")).toBe("sk_test_new_canary");
    now += 1;
    expect(await secrets.refresh("stripe")).toBe(true);
    expect(await secrets.get("stripe")).toBe("sk_test_third_canary");
    expect(logged.join()).not.toContain("canary");
    expect(inspect(secrets, { depth: 10, showHidden: true })).not.toContain("canary");
  });

  it("that cannot be read stop the call with 503, naming the vendor and the place", async () => {
    const path = join(directory, "nothing");
    const secrets = source({ stripe: { from: "file", path } });
    await expect(secrets.get("stripe")).rejects.toMatchObject({
      code: "vendor_secret_unavailable",
      status: 503,
      message: expect.stringContaining(`stripe (file:${path}) cannot be read: ENOENT`),
    });
    await expect(secrets.get("resend")).rejects.toMatchObject({ code: "vendor_secret_unavailable" });
    await writeFile(path, "sk_test_later");
    expect(await secrets.get("stripe")).toBe("sk_test_later");
  });

  it.each([
    ["a short text", "canary"],
    ["a line end inside", "sk_test_canary\r\nx-injected: 1"],
    ["a letter beyond ASCII", "sk_test_canary_ü"],
    ["more than 4096 bytes", `canary${"x".repeat(4096)}`],
  ])("with %s are refused without being told", async (_what, text) => {
    const path = join(directory, "bad");
    await writeFile(path, text);
    const failure = await source({ stripe: { from: "file", path } })
      .get("stripe")
      .catch((error: Error) => error.message);
    expect(failure).toMatch(/^vendor_secret_unavailable: the secret of stripe/);
    expect(failure).not.toContain("canary");
  });
});

describe("the pepper's file", () => {
  it("is made once, for this user only, and read afterwards", async () => {
    const path = join(directory, "a.pepper");
    const first = await openPepperFile(path, systemRandom, true);
    expect(first.made).toBe(true);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(["a.pepper"]);
    const second = await openPepperFile(path, systemRandom, true);
    expect(second.made).toBe(false);
    expect(second.peppers.get(1)).toEqual(first.peppers.get(1));
    expect(first.peppers.get(1)).toHaveLength(32);
  });

  it("is one file when 20 starts make it at once", async () => {
    const path = join(directory, "race.pepper");
    const opened = await Promise.all(Array.from({ length: 20 }, () => openPepperFile(path, systemRandom, true)));
    expect(opened.filter(({ made }) => made)).toHaveLength(1);
    expect(new Set(opened.map(({ peppers }) => peppers.get(1)!.toString("hex"))).size).toBe(1);
    expect(await readdir(directory)).toEqual(["race.pepper"]);
  });

  it("holds several versions", async () => {
    const path = join(directory, "two.pepper");
    await writeFile(path, `v1:${"a1".repeat(32)}\nv2:${"b2".repeat(32)}\n`, { mode: 0o600 });
    const { peppers } = await openPepperFile(path, systemRandom, false);
    expect([...peppers.keys()]).toEqual([1, 2]);
  });

  it("that others can read is refused with the command that mends it", async () => {
    const path = join(directory, "open.pepper");
    await openPepperFile(path, systemRandom, true);
    await chmod(path, 0o644);
    await expect(openPepperFile(path, systemRandom, true)).rejects.toThrow(`chmod 600 ${path}`);
  });

  it.each(["", "v1:abc\n", `v1:${"a".repeat(64)}\nv1:${"b".repeat(64)}\n`, `${"a".repeat(64)}\n`])(
    "with the damaged content %j is refused",
    async (content) => {
      const path = join(directory, "bad.pepper");
      await writeFile(path, content, { mode: 0o600 });
      await expect(openPepperFile(path, systemRandom, true)).rejects.toThrow(/^KEYBRAKE_PEPPER: .*(damaged|empty)/);
      expect(await readFile(path, "utf8")).toBe(content);
    },
  );

  it("that is missing although keys were made with it is not replaced", async () => {
    const path = join(directory, "lost.pepper");
    await expect(openPepperFile(path, systemRandom, false)).rejects.toThrow(/is missing.*bring the file back/);
    expect(await readdir(directory)).toEqual([]);
  });

  it("of another store is refused", async () => {
    const store = new MemoryStore({ clock: { now: () => now } });
    const mine = pepperInMemory(systemRandom);
    await bindPeppers(store, mine, "p");
    await bindPeppers(store, mine, "p");
    await expect(bindPeppers(store, pepperInMemory(systemRandom), "p")).rejects.toThrow(/not the one that this store/);
  });
});
