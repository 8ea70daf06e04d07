/**
 * The vendors' secrets, held in memory. One from the environment or a file is read once, and anew when the vendor refuses it. One of
 * Secret Manager also grows old, so that a rotation needs no restart:
 *
 * | age | a call gets |
 * |---|---|
 * | under 45 s | what is held |
 * | under 60 s | what is held, while it is read anew |
 * | under 10 min | what is read now; what is held, when Secret Manager cannot answer |
 * | more | what is read now, else 503 |
 *
 * A secret that is deleted, or whose latest version is disabled or destroyed, is withdrawn: what was held is dropped at once.
 */
import type { Clock } from "../clock.ts";
import { Refusal } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { SecretReference } from "../vendor-config.ts";
import { placeOf, type ReadSecret, Unreadable } from "./read-secret.ts";
import { Secret } from "./secret.ts";
import type { SecretSource } from "./secrets.ts";

const FRESH_MS = 45_000;
const STALE_MS = 60_000;
/** How long an outage of Secret Manager may last before calls are refused. */
const KEPT_MS = 10 * 60_000;
/** After a failure the next try waits this long, ms. */
const RETRY_MS = 5_000;
/** After a vendor's 401 a secret is read anew at most this often, ms: a wrong secret must not become a flood of reads. */
const REFRESH_EVERY_MS = 10_000;

interface Held {
  secret: Secret;
  version: number | null;
  /** When the read that brought it began; `null`: it does not grow old. */
  readAt: number | null;
}

export interface VendorSecretsDeps {
  references: ReadonlyMap<string, SecretReference>;
  read: ReadSecret;
  clock: Pick<Clock, "now">;
  log: Logger;
}

export class VendorSecrets implements SecretSource {
  readonly #deps: VendorSecretsDeps;
  readonly #held = new Map<string, Held>();
  /** One read of a secret at a time; whoever comes meanwhile shares it. */
  readonly #reading = new Map<string, Promise<Held>>();
  /** Last failures of what grows old. */
  readonly #failures = new Map<string, { at: number; error: Unreadable }>();
  /** When a vendor's 401 last had a secret read anew. */
  readonly #refreshedAt = new Map<string, number>();

  constructor(deps: VendorSecretsDeps) {
    this.#deps = deps;
  }

  async get(vendorId: string): Promise<string> {
    const held = this.#held.get(vendorId);
    const age = held ? this.#age(held) : Number.POSITIVE_INFINITY;
    if (held && age < FRESH_MS) return held.secret.reveal();
    const failure = this.#failures.get(vendorId);
    const soon = failure !== undefined && this.#deps.clock.now() - failure.at < RETRY_MS;
    // Once a read has failed nobody waits for the next one, or every call would be as slow as Secret Manager's deadline.
    if (held && age < KEPT_MS && (failure || age < STALE_MS)) {
      if (!soon) void this.#read(vendorId).catch(() => {});
      return held.secret.reveal();
    }
    if (soon) throw this.#unavailable(vendorId, failure.error);
    try {
      return (await this.#read(vendorId)).secret.reveal();
    } catch (error) {
      const kept = this.#held.get(vendorId);
      if (kept && this.#age(kept) < KEPT_MS) return kept.secret.reveal();
      throw this.#unavailable(vendorId, error);
    }
  }

  /** The last read said that there is no such secret, or no version of it. */
  isMissing(vendorId: string): boolean {
    return this.#failures.get(vendorId)?.error.missing === true;
  }

  /** The last read said that its latest version was disabled or destroyed. */
  isDisabled(vendorId: string): boolean {
    const error = this.#failures.get(vendorId)?.error;
    return error?.withdrawn === true && !error.missing;
  }

  async refresh(vendorId: string): Promise<boolean> {
    const before = await this.get(vendorId);
    const { clock, log } = this.#deps;
    if (clock.now() - (this.#refreshedAt.get(vendorId) ?? Number.NEGATIVE_INFINITY) < REFRESH_EVERY_MS) {
      // Calls that were refused at the same time wait for the read that the first of them began.
      await this.#reading.get(vendorId)?.catch(() => {});
      return (this.#held.get(vendorId)?.secret.reveal() ?? before) !== before;
    }
    this.#refreshedAt.set(vendorId, clock.now());
    try {
      const changed = (await this.#read(vendorId)).secret.reveal() !== before;
      log.warn({ vendor: vendorId, changed }, "vendor refused the secret; it was read anew");
      return changed;
    } catch (error) {
      throw this.#unavailable(vendorId, error);
    }
  }

  #age({ readAt }: Held): number {
    return readAt === null ? 0 : this.#deps.clock.now() - readAt;
  }

  #read(vendorId: string): Promise<Held> {
    const running = this.#reading.get(vendorId);
    if (running) return running;
    const read = this.#fetch(vendorId).finally(() => this.#reading.delete(vendorId));
    this.#reading.set(vendorId, read);
    return read;
  }

  async #fetch(vendorId: string): Promise<Held> {
    const { references, clock, log } = this.#deps;
    const reference = references.get(vendorId);
    if (!reference) throw new Unreadable("is not named in KEYBRAKE_VENDORS");
    const managed = reference.from === "manager";
    const readAt = managed ? clock.now() : null;
    const before = this.#held.get(vendorId);
    try {
      const { text, version } = await this.#deps.read(reference);
      const same = before?.secret.reveal() === text;
      const held = { secret: same ? before.secret : new Secret(vendorId, text), version, readAt };
      this.#held.set(vendorId, held);
      if (this.#failures.delete(vendorId)) log.info({ vendor: vendorId }, "the vendor's secret can be read again");
      if (before && before.version !== version) log.info({ vendor: vendorId, version }, "a new version of the secret");
      return held;
    } catch (error) {
      if (managed) this.#failed(vendorId, error, before);
      throw error;
    }
  }

  #failed(vendorId: string, error: unknown, held: Held | undefined): void {
    if (!(error instanceof Unreadable)) return;
    const { clock, log, references } = this.#deps;
    this.#failures.set(vendorId, { at: clock.now(), error });
    if (error.withdrawn) this.#held.delete(vendorId);
    const left = held && !error.withdrawn ? Math.max(0, KEPT_MS - this.#age(held)) : 0;
    log.error(
      { vendor: vendorId, secret: placeOf(references.get(vendorId)!), usable_s: Math.round(left / 1000) },
      `the vendor's secret ${error.message}`,
    );
  }

  /** A refusal of its own for each caller: the ledger marks them. */
  #unavailable(vendorId: string, error: unknown): Error {
    if (!(error instanceof Unreadable)) return error instanceof Error ? error : new Error(String(error));
    const reference = this.#deps.references.get(vendorId);
    const place = reference ? ` (${placeOf(reference)})` : "";
    return new Refusal("vendor_secret_unavailable", `the secret of ${vendorId}${place} ${error.message}`);
  }
}
