/** What the steps of a call share: the ledger, the vendors, the real secrets, and the bounds. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock, Random } from "../clock.ts";
import { Refusal } from "../errors.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { KeyState } from "../ledger/types.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { SecretSource } from "../secrets/secrets.ts";
import type { VaultKeys } from "../vault-key.ts";
import type { Vendor } from "../vendors/vendor.ts";
import { Exchange } from "./exchange.ts";
import { handle } from "./handle.ts";
import { headerNamesOf } from "./headers.ts";
import type { Limits } from "./limits.ts";
import { Seals } from "./receipt.ts";
import { Scanners } from "./scan.ts";
import { Upstreams } from "./upstreams.ts";
import { VerifiedKeys } from "./verified-keys.ts";

/** The places in a call's life where a test may stop, watch or kill the process. */
export type Step =
  | "received"
  | "authenticated"
  | "parsed"
  | "quoted"
  | "reserved"
  | "before_send"
  | "sent"
  | "answered"
  | "settled"
  | "before_answer";

export interface DataPlaneOptions {
  ledger: Ledger;
  /** By id, which is also the mount. */
  vendors: ReadonlyMap<string, Vendor>;
  /** Upstream origins that replace the vendors' own (`http://127.0.0.1:4001`), by vendor id. */
  origins?: ReadonlyMap<string, string>;
  secrets: SecretSource;
  keys: VaultKeys;
  clock: Clock;
  random: Random;
  log: Logger;
  limits: Limits;
  /** Google Cloud project of the traces; without it the trace's bare id is logged. */
  traceProject?: string | null;
  /** Absent: nothing is counted. */
  metrics?: Metrics | undefined;
  probe?: (step: Step, exchange: Exchange) => void;
}

export class DataPlane {
  readonly ledger: Ledger;
  readonly vendors: ReadonlyMap<string, Vendor>;
  readonly secrets: SecretSource;
  readonly keys: VerifiedKeys;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: Limits;
  readonly traceProject: string | null;
  readonly metrics: Metrics | undefined;
  readonly probe: ((step: Step, exchange: Exchange) => void) | undefined;
  readonly upstreams: Upstreams;
  readonly seals: Seals;
  readonly scanners = new Scanners();
  /** Names of the request headers that are read; a duplicate of one of them is refused. */
  readonly headerNames: ReadonlySet<string>;
  /** Where vendors' SDKs put their credential, when it is not Authorization. */
  readonly credentialHeaders: readonly string[];
  /** Answers end their connection, and new calls are refused. */
  draining = false;
  #inFlight = 0;
  readonly #byKey = new Map<string, number>();
  #whenIdle: (() => void)[] = [];

  constructor(options: DataPlaneOptions) {
    this.ledger = options.ledger;
    this.vendors = options.vendors;
    this.secrets = options.secrets;
    this.keys = new VerifiedKeys(options.keys);
    this.clock = options.clock;
    this.log = options.log;
    this.limits = options.limits;
    this.traceProject = options.traceProject ?? null;
    this.metrics = options.metrics;
    this.probe = options.probe;
    this.upstreams = new Upstreams(options.limits, options.origins ?? new Map());
    this.seals = new Seals(options.keys, options.random);
    const credentialHeaders = new Set([...options.vendors.values()].map((vendor) => vendor.credentialHeader));
    credentialHeaders.delete("authorization");
    this.credentialHeaders = [...credentialHeaders];
    this.headerNames = headerNamesOf(options.vendors.values());
  }

  /** Calls that are not answered yet, those included whose client is gone. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Takes one request to its answer. Never rejects. `exchange` is what the server knows of it. */
  async serve(exchange: Exchange): Promise<void> {
    this.#inFlight += 1;
    try {
      await handle(this, exchange);
    } catch (error) {
      this.log.error({ err: error, call_id: exchange.callId }, "a call's answer failed");
      exchange.response.destroy();
    } finally {
      this.#inFlight -= 1;
      this.#leave(exchange);
      if (this.#inFlight === 0) for (const resume of this.#whenIdle.splice(0)) resume();
    }
  }

  /** Counts the exchange with its key's. Throws `overloaded` when the key has too many. */
  enter(exchange: Exchange, key: KeyState): void {
    const limit = Math.max(this.limits.keyConcurrency, key.scope.concurrency);
    const count = this.#byKey.get(key.keyId) ?? 0;
    if (count >= limit) throw new Refusal("overloaded", `${limit} requests of this key are in flight; try again`);
    this.#byKey.set(key.keyId, count + 1);
    exchange.entered = true;
  }

  #leave({ entered, key }: Exchange): void {
    if (!entered || !key) return;
    const left = (this.#byKey.get(key.keyId) ?? 0) - 1;
    if (left > 0) this.#byKey.set(key.keyId, left);
    else this.#byKey.delete(key.keyId);
  }

  exchange(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): Exchange {
    return new Exchange(request, response, expectsContinue, this.clock.now());
  }

  /** Resolves when no call is in flight, or after `ms`. @returns how many are left. */
  async idle(ms: number): Promise<number> {
    if (this.#inFlight === 0) return 0;
    const late = new AbortController();
    const idle = new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    await Promise.race([idle, this.clock.delay(ms, late.signal).catch(() => {})]);
    late.abort();
    return this.#inFlight;
  }

  /** Closes the connections to the vendors. */
  close(): Promise<void> {
    return this.upstreams.close();
  }
}
