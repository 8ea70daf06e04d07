/**
 * Goal: all instances on one store use the same pepper, whoever made it and however their starts interleave; a rotation reaches them without
 * a restart; a pepper that keys were made with and that cannot be read stops the start with a sentence.
 * Method: real starts over one store in memory and the real client library before a loopback Secret Manager, with seeded pauses before
 * every step of both. Limit: the loopback's listings are current, where Google's are eventually consistent; one test hides versions.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Clock, systemRandom } from "../../service/clock.ts";
import { createLogger } from "../../service/log.ts";
import { ManagedPepper } from "../../service/secrets/managed-pepper.ts";
import type { SecretManager } from "../../service/secrets/secret-manager.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import { VaultKeys } from "../../service/vault-key.ts";
import { type LocalWorld, secretOf, startLocal } from "./local.ts";

const name = secretOf("pepper");
const keyId = "a".repeat(26);

let world: LocalWorld;
let store: MemoryStore;
let logged: string[];
let now: number;
const clock: Pick<Clock, "now"> = { now: () => now };

beforeEach(async () => {
  world = await startLocal();
  world.local.createSecret(name);
  store = new MemoryStore({ clock });
  logged = [];
  now = 1_000_000;
});
afterEach(() => world.close());

interface Parts {
  manager?: Pick<SecretManager, "access" | "versions" | "add">;
  settings?: Pick<MemoryStore, "setting" | "settingOnce">;
}

async function start({ manager, settings }: Parts = {}): Promise<{ pepper: ManagedPepper; keys: VaultKeys }> {
  const pepper = new ManagedPepper({
    name,
    manager: manager ?? (await world.client()),
    store: settings ?? store,
    clock,
    random: systemRandom,
    log: createLogger({ write: (line) => logged.push(line) }),
  });
  await pepper.open();
  return { pepper, keys: new VaultKeys(pepper.versions, pepper.load) };
}

const digits = (byte: number): string => byte.toString(16).padStart(2, "0").repeat(32);

/** Random numbers in [0, 1) that a seed decides. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
}

describe("the first version", () => {
  it("is made once, 32 random bytes, and used by every later start", async () => {
    const first = await start();
    const second = await start();
    expect(world.local.values(name)).toEqual([expect.stringMatching(/^first:[0-9a-f]{64}$/)]);
    expect(first.keys.currentVersion).toBe(1);
    expect(second.keys.text(keyId, 1)).toBe(first.keys.text(keyId, 1));
  });

  it.each(Array.from({ length: 12 }, (_, seed) => seed))(
    "is agreed on by 8 starts at once, in the order of seed %i",
    async (seed) => {
      const random = seeded(seed);
      const pause = () => delay(Math.floor(random() * 12));
      world.local.before = pause;
      const settings = {
        setting: async (each: string) => {
          await pause();
          return store.setting(each);
        },
        settingOnce: async (each: string, value: string) => {
          await pause();
          const kept = await store.settingOnce(each, value);
          await pause();
          return kept;
        },
      };
      const starts = await Promise.all(Array.from({ length: 8 }, () => pause().then(() => start({ settings }))));
      const { keys } = starts[0]!;
      const text = keys.text(keyId, keys.currentVersion);
      for (const other of starts) {
        expect(other.keys.currentVersion).toBe(keys.currentVersion);
        expect([...other.pepper.versions.keys()]).toEqual([keys.currentVersion]);
        expect(other.keys.verify(text)?.keyId).toBe(keyId);
      }
      // What the others made is there, and nobody uses it, now or later.
      await Promise.all(starts.map(({ pepper }) => pepper.renew()));
      const late = await start();
      for (const each of [...starts, late]) expect([...each.pepper.versions.keys()]).toEqual([keys.currentVersion]);
    },
  );

  it("of a race is the one that the store fixed, though another has a lower number", async () => {
    world.local.addVersion(name, `first:${digits(1)}`);
    world.local.addVersion(name, `first:${digits(2)}`);
    await store.settingOnce("pepper_first", "2");
    const { pepper } = await start();
    expect([...pepper.versions]).toEqual([[2, Buffer.from(digits(2), "hex")]]);
  });

  it("is found again when the instance that made it died before the store knew", async () => {
    world.local.addVersion(name, `first:${digits(1)}`);
    const { pepper } = await start();
    expect([...pepper.versions.keys()]).toEqual([1]);
    expect(world.local.values(name)).toHaveLength(1);
  });

  it("is read by its number when a listing does not show it yet", async () => {
    const { keys } = await start();
    const client = await world.client();
    const blind = { ...bound(client), versions: async () => [] };
    const other = await start({ manager: blind });
    expect(other.keys.text(keyId, 1)).toBe(keys.text(keyId, 1));
    expect(world.local.values(name)).toHaveLength(1);
  });

  it("may be an operator's own", async () => {
    world.local.addVersion(name, `${digits(7)}\n`);
    const { pepper } = await start();
    expect([...pepper.versions]).toEqual([[1, Buffer.from(digits(7), "hex")]]);
    expect(await store.setting("pepper_first")).toBeNull();
  });
});

const bound = (client: SecretManager): Pick<SecretManager, "access" | "versions" | "add"> => ({
  access: (...args) => client.access(...args),
  versions: (...args) => client.versions(...args),
  add: (...args) => client.add(...args),
});

describe("a rotation", () => {
  it("makes new keys with the new version, while keys of the old one verify, after the next look and after a restart", async () => {
    const running = await start();
    const old = running.keys.text(keyId, 1);
    world.local.addVersion(name, digits(2));
    await running.pepper.renew();
    const restarted = await start();
    for (const { keys } of [running, restarted]) {
      expect(keys.currentVersion).toBe(2);
      expect(keys.verify(old)?.pepperVersion).toBe(1);
      expect(keys.verify(restarted.keys.text(keyId, 2))?.pepperVersion).toBe(2);
    }
  });

  it("that another instance saw first is loaded when a key of it comes", async () => {
    const behind = await start();
    world.local.addVersion(name, digits(2));
    const ahead = await start();
    const text = ahead.keys.text(keyId, 2);
    expect(behind.keys.verify(text)).toBeNull();
    expect(await behind.keys.readyForMissing()).toBe(true);
    expect(behind.keys.verify(text)?.keyId).toBe(keyId);
  });

  it("that the listing does not show yet is loaded by its number, once the store knows it", async () => {
    const client = bound(await world.client());
    let shows = 0;
    const late = async () => (await client.versions(name)).filter(({ version }) => version <= shows);
    const behind = await start({ manager: { ...client, versions: late } });
    shows = 1;
    world.local.addVersion(name, digits(2));
    expect(await behind.keys.ready(2)).toBe(false);
    await start();
    now += 5_000;
    expect(await behind.keys.ready(2)).toBe(true);
  });

  it("is looked for once in 5 s, however many keys name versions that are not there", async () => {
    const { keys } = await start();
    world.local.received.length = 0;
    const ask = async (version: number): Promise<boolean> => {
      keys.verify(`vk_${version}_${keyId}_${"A".repeat(43)}`);
      return keys.readyForMissing();
    };
    for (let version = 2; version < 40; version += 1) expect(await ask(version)).toBe(false);
    await Promise.all(Array.from({ length: 40 }, (_, at) => ask(at + 2)));
    expect(world.local.received.map(({ act }) => act)).toEqual(["versions.list"]);
    now += 5_000;
    await ask(2);
    expect(world.local.received).toHaveLength(2);
  });

  it("that is no pepper is refused with the command that makes one, and is not told", async () => {
    const { pepper } = await start();
    world.local.addVersion(name, "canary-no-hex");
    const says = /has no pepper in its version 2; disable it.*openssl rand -hex 32/;
    await expect(pepper.renew()).rejects.toThrow(says);
    await expect(start()).rejects.toThrow(says);
    expect(logged.join("")).not.toContain("canary");
  });

  it("is never told in a log", async () => {
    await start();
    world.local.addVersion(name, digits(0xca));
    await start();
    const values = world.local.values(name).map((value) => value.replace("first:", ""));
    expect(logged.length).toBeGreaterThan(2);
    for (const value of values) expect(logged.join("")).not.toContain(value);
  });
});

describe("a pepper that keys were made with", () => {
  it("and that is disabled stops the start, naming the version and the command", async () => {
    await start();
    world.local.addVersion(name, digits(2));
    world.local.setState(name, 1, "DISABLED");
    await expect(start()).rejects.toThrow(
      `KEYBRAKE_PEPPER: ${name} has its version 1 disabled, and keys of this store were made with it; enable it (\`gcloud secrets versions enable 1`,
    );
  });

  it("and that is destroyed ends its keys, with a warning, when there is a newer one", async () => {
    await start();
    world.local.addVersion(name, digits(2));
    world.local.setState(name, 1, "DESTROYED");
    const { pepper } = await start();
    expect([...pepper.versions.keys()]).toEqual([2]);
    expect(logged.join("")).toContain("keys that were made with it do not verify any more");
  });

  it("and that is destroyed, the only one, is not replaced by itself", async () => {
    await start();
    world.local.setState(name, 1, "DESTROYED");
    await expect(start()).rejects.toThrow(/KEYBRAKE_PEPPER: .* add a new one/);
    expect(world.local.values(name)).toHaveLength(1);
  });

  it.each(["DISABLED", "DESTROYED"] as const)(
    "by an operator, and whose only version is %s, stops the start, and nothing is made",
    async (state) => {
      world.local.addVersion(name, digits(7));
      world.local.setState(name, 1, state);
      await expect(start()).rejects.toThrow(/has versions but none is enabled; enable one, or add a new one: `openssl/);
      expect(world.local.values(name)).toHaveLength(1);
    },
  );

  it("and that is another one now stops the start", async () => {
    await start();
    await world.close();
    world = await startLocal();
    world.local.addVersion(name, digits(9));
    await expect(start()).rejects.toThrow(/another version 1 than the one that this store's keys were made with/);
  });

  it("and whose secret was emptied stops the start, and nothing is made", async () => {
    await start();
    await world.close();
    world = await startLocal();
    world.local.createSecret(name);
    await expect(start()).rejects.toThrow(/has lost its version 1, which keys of this store were made with/);
    expect(world.local.values(name)).toEqual([]);
  });
});

describe("a start without an answer", () => {
  it.each<[string, number, RegExp]>([
    [
      "no permission",
      403,
      /does not let this account list its versions; grant it roles\/secretmanager\.secretVersionManager/,
    ],
    ["no such secret", 404, /does not exist; deploy it/],
    ["a fault of Google's", 500, /cannot be reached now/],
  ])("fails with one sentence: %s", async (_what, status, says) => {
    world.local.failNext({ answer: status });
    await expect(start()).rejects.toThrow(says);
    expect(world.local.values(name)).toEqual([]);
  });
});
