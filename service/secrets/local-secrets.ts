/** Vendors' secrets from the environment or from files on this machine. */
import { readFile } from "node:fs/promises";
import type { Clock } from "../clock.ts";
import { Refusal } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { SecretReference } from "../vendor-config.ts";
import { Secret } from "./secret.ts";
import type { SecretSource } from "./secrets.ts";

/** After a vendor's 401 a secret is read anew at most this often, ms: a wrong secret must not become a flood of reads. */
const REFRESH_EVERY_MS = 10_000;

const MAX_SECRET_BYTES = 4096;
/** A shorter text would be found by chance in vendors' answers, which are searched for the secret. */
const MIN_SECRET_LENGTH = 8;

interface Held {
  secret: Secret;
  /** When a refresh was last tried. */
  refreshedAt: number;
}

export interface LocalSecretsDeps {
  references: ReadonlyMap<string, SecretReference>;
  clock: Pick<Clock, "now">;
  log: Logger;
}

export class LocalSecrets implements SecretSource {
  readonly #deps: LocalSecretsDeps;
  readonly #held = new Map<string, Held>();
  /** One read of a secret at a time; whoever comes meanwhile shares it. */
  readonly #reading = new Map<string, Promise<Secret>>();

  constructor(deps: LocalSecretsDeps) {
    this.#deps = deps;
  }

  async get(vendorId: string): Promise<string> {
    const held = this.#held.get(vendorId);
    if (held) return held.secret.reveal();
    const secret = await this.#read(vendorId);
    if (!this.#held.has(vendorId)) this.#held.set(vendorId, { secret, refreshedAt: Number.NEGATIVE_INFINITY });
    return secret.reveal();
  }

  async refresh(vendorId: string): Promise<boolean> {
    const before = await this.get(vendorId);
    const held = this.#held.get(vendorId)!;
    const now = this.#deps.clock.now();
    if (now - held.refreshedAt < REFRESH_EVERY_MS) return false;
    held.refreshedAt = now;
    held.secret = await this.#read(vendorId);
    const changed = held.secret.reveal() !== before;
    this.#deps.log.warn({ vendor: vendorId, changed }, "vendor refused the secret; it was read anew");
    return changed;
  }

  #read(vendorId: string): Promise<Secret> {
    const running = this.#reading.get(vendorId);
    if (running) return running;
    const read = this.#fetch(vendorId).finally(() => this.#reading.delete(vendorId));
    this.#reading.set(vendorId, read);
    return read;
  }

  async #fetch(vendorId: string): Promise<Secret> {
    const reference = this.#deps.references.get(vendorId);
    if (!reference) {
      throw new Refusal("vendor_secret_unavailable", `KEYBRAKE_VENDORS names no secret of ${vendorId}`);
    }
    const place = reference.from === "env" ? `env:${reference.name}` : `file:${reference.path}`;
    const text = reference.from === "env" ? reference.value.reveal() : await readText(vendorId, reference.path, place);
    const fault = faultOf(text);
    if (fault) throw unavailable(vendorId, place, fault);
    return new Secret(vendorId, text);
  }
}

const unavailable = (vendorId: string, place: string, fault: string): Refusal =>
  new Refusal("vendor_secret_unavailable", `the secret of ${vendorId} (${place}) ${fault}`);

async function readText(vendorId: string, path: string, place: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).replace(/\r?\n$/, "");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "no reason given";
    throw unavailable(vendorId, place, `cannot be read: ${code}`);
  }
}

/** What makes a text unfit as a credential in a header; the text itself is never told. */
function faultOf(text: string): string | null {
  if (text.length < MIN_SECRET_LENGTH) return `is shorter than ${MIN_SECRET_LENGTH} characters`;
  if (Buffer.byteLength(text) > MAX_SECRET_BYTES) return `is longer than ${MAX_SECRET_BYTES} bytes`;
  return /^[\x21-\x7e]+$/.test(text) ? null : "has characters other than visible ASCII";
}
