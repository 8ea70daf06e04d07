/**
 * The pepper in Secret Manager: each enabled version of one secret is a version of the pepper, under the same number, and the newest one
 * makes the text of new keys. Its value is 64 or more hex digits.
 *
 * The first version is made by the proxy, and several instances may start at once: each that finds none adds one, marked `first:`. Which of
 * the marked versions counts is decided by the store, where the setting `pepper_first` can be written once; the other marked ones are never
 * used by anybody. Unmarked versions are rotations, which an operator adds. A version in use is tied to the store by its fingerprint.
 */
import type { Clock, Random } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { Store } from "../stores/store.ts";
import { bindPepper, PEPPER_BYTES, type Peppers, pepperSetting } from "./pepper.ts";
import type { SecretManager, SecretVersion } from "./secret-manager.ts";
import { SecretManagerError } from "./secret-manager-error.ts";

const FIRST = "pepper_first";
/** A version of the pepper that a vault key names is looked for at most this often, ms: such texts cost their sender nothing. */
const LOAD_EVERY_MS = 5_000;
/** Enabled versions beyond the newest ones are not used. */
const MAX_VERSIONS = 100;

export interface ManagedPepperOptions {
  /** `projects/P/secrets/S`. */
  name: string;
  manager: Pick<SecretManager, "access" | "versions" | "add">;
  store: Pick<Store, "setting" | "settingOnce">;
  clock: Pick<Clock, "now">;
  random: Random;
  log: Logger;
}

interface Value {
  pepper: Buffer;
  /** An instance made it because it found none. */
  first: boolean;
}

export class ManagedPepper {
  readonly #options: ManagedPepperOptions;
  readonly #versions = new Map<number, Buffer>();
  /** Marked versions that do not count. */
  readonly #surplus = new Set<number>();
  #loadedAt = Number.NEGATIVE_INFINITY;
  #renewing: Promise<void> | null = null;

  constructor(options: ManagedPepperOptions) {
    this.#options = options;
  }

  /** Grows when a version is added. */
  get versions(): Peppers {
    return this.#versions;
  }

  /** Throws an `Error` with one sentence when the keys of this store could not be verified. */
  async open(): Promise<void> {
    const listed = await this.#asSentence(() => this.#options.manager.versions(this.#options.name));
    await this.#checkUsed(listed);
    const values = await this.#read(listed.filter(({ state }) => state === "enabled"));
    const first = await this.#agreeOnFirst(values, listed.length > 0);
    if (first !== null && !values.has(first) && !isGone(listed, first)) {
      // Another instance made it; a listing may not show it yet, but by its number it can be read.
      for (const [version, value] of await this.#read([{ version: first, state: "enabled" }]))
        values.set(version, value);
    }
    await this.#use(values, first);
    if (this.#versions.size === 0) throw this.#problem(`has no enabled version left; ${addOne(this.#options.name)}`);
  }

  /** Looks for versions that were added since. */
  readonly renew = (): Promise<void> => {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  };

  /** Looks for one version that a key names; @returns whether it is there. Never rejects. */
  readonly load = async (version: number): Promise<boolean> => {
    if (this.#versions.has(version)) return true;
    const { clock, store, log } = this.#options;
    const now = clock.now();
    if (this.#renewing === null && now - this.#loadedAt < LOAD_EVERY_MS) return false;
    this.#loadedAt = now;
    try {
      await this.renew();
      const known = this.#versions.has(version);
      if (!known && !this.#surplus.has(version) && (await store.setting(pepperSetting(version))) !== null) {
        await this.#use(await this.#read([{ version, state: "enabled" }]), await this.#first());
      }
    } catch (error) {
      log.error({ version, err: error }, "a version of the pepper that a key names cannot be loaded");
    }
    return this.#versions.has(version);
  };

  async #renew(): Promise<void> {
    const { manager, name } = this.#options;
    const listed = await manager.versions(name);
    const fresh = listed.filter(
      ({ version, state }) => state === "enabled" && !this.#versions.has(version) && !this.#surplus.has(version),
    );
    if (fresh.length === 0) return;
    await this.#use(await this.#read(fresh), await this.#first());
  }

  /** A version that keys were made with must be readable, or be gone for good. */
  async #checkUsed(listed: readonly SecretVersion[]): Promise<void> {
    const { store, log, name } = this.#options;
    const away = listed.filter(({ state }) => state !== "enabled");
    await Promise.all(
      away.map(async ({ version, state }) => {
        if ((await store.setting(pepperSetting(version))) === null) return;
        if (state === "disabled") {
          throw this.#problem(
            `has its version ${version} disabled, and keys of this store were made with it; enable it (\`gcloud secrets versions enable ${version} --secret=${name}\`), or destroy it once its keys have ended`,
          );
        }
        log.warn(
          { version },
          "a version of the pepper is destroyed; keys that were made with it do not verify any more",
        );
      }),
    );
  }

  /** @returns the marked version that counts; `null` when there is none because an operator made the pepper. */
  async #agreeOnFirst(values: ReadonlyMap<number, Value>, anyListed: boolean): Promise<number | null> {
    const fixed = await this.#first();
    if (fixed !== null) return fixed;
    const { manager, name, random, store, log } = this.#options;
    const marked = [...values].filter(([, { first }]) => first).map(([version]) => version);
    let candidate = marked.length > 0 ? Math.min(...marked) : null;
    if (candidate === null) {
      if (values.size > 0) return null;
      if (anyListed) throw this.#problem(`has versions but none is enabled; enable one, or ${addOne(name)}`);
      const pepper = random.bytes(PEPPER_BYTES);
      const data = Buffer.from(`first:${pepper.toString("hex")}`);
      candidate = await this.#asSentence(() => manager.add(name, data));
      log.info({ secret: name, version: candidate }, "pepper made, for its secret had no version");
    }
    return Number(await store.settingOnce(FIRST, String(candidate)));
  }

  async #first(): Promise<number | null> {
    const fixed = await this.#options.store.setting(FIRST);
    return fixed === null ? null : Number(fixed);
  }

  async #use(values: ReadonlyMap<number, Value>, first: number | null): Promise<void> {
    const { store, log, name } = this.#options;
    for (const [version, value] of values) {
      if (value.first && version !== first) {
        this.#surplus.add(version);
        continue;
      }
      if (!(await bindPepper(store, version, value.pepper))) {
        throw this.#problem(
          `has another version ${version} than the one that this store's keys were made with; name the secret that belongs to the store`,
        );
      }
      this.#versions.set(version, value.pepper);
      log.info({ secret: name, version }, "a version of the pepper is in use");
    }
  }

  async #read(listed: readonly SecretVersion[]): Promise<Map<number, Value>> {
    const { manager, name } = this.#options;
    const wanted = listed.map(({ version }) => version).sort((a, b) => a - b);
    const values = await Promise.all(
      wanted.slice(-MAX_VERSIONS).map(async (version): Promise<[number, Value]> => {
        const { data } = await manager.access(name, version).catch((error: unknown) => {
          if (!(error instanceof SecretManagerError)) throw error;
          throw this.#problem(error.fault === "missing" ? lost(version) : error.predicate);
        });
        const [, mark, digits] = /^(first:)?((?:[0-9a-f]{2}){32,128})\r?\n?$/.exec(data.toString("latin1")) ?? [];
        if (digits === undefined) {
          throw this.#problem(
            `has no pepper in its version ${version}; disable it, and add 64 hex digits (\`openssl rand -hex 32\`)`,
          );
        }
        return [version, { pepper: Buffer.from(digits, "hex"), first: mark !== undefined }];
      }),
    );
    return new Map(values);
  }

  async #asSentence<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SecretManagerError) throw this.#problem(error.predicate);
      throw error;
    }
  }

  #problem(predicate: string): Error {
    return new Error(`KEYBRAKE_PEPPER: ${this.#options.name} ${predicate}.`);
  }
}

const isGone = (listed: readonly SecretVersion[], version: number): boolean =>
  listed.some((each) => each.version === version && each.state !== "enabled");

const addOne = (name: string): string => `add a new one: \`openssl rand -hex 32 | keybrake secrets set ${name}\``;

const lost = (version: number): string =>
  `has lost its version ${version}, which keys of this store were made with; name the secret that belongs to the store`;
