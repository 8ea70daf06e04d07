/** Makes a {@link Ledger} from a store: one queue per key, get-or-create, recovery and drain. */
import { hash } from "node:crypto";
import { Refusal } from "../errors.ts";
import { docAs, StoreUnavailable } from "../stores/store.ts";
import { unavailable } from "./batch.ts";
import { base32, callIdOf, objectKey } from "./identity.ts";
import { existingKey, issueKey } from "./issue.ts";
import { KeyQueue, type QueueDeps } from "./key-queue.ts";
import { Lanes } from "./lanes.ts";
import type { Ledger, Outcome } from "./ledger.ts";
import type { Call, KeyState } from "./types.ts";

/** Keys that are kept in memory; idle ones beyond it are read again when they are needed. */
const CACHED_KEYS = 1000;
const MAX_RETRY_MS = 5_000;
const DRAIN_STEP_MS = 20;
const RECOVER_PAGE = 500;

/** Public id of the key of (owner, label): get-or-create is one document with a name of its own. */
export function keyIdOf(owner: string, label: string): string {
  return base32(hash("sha256", JSON.stringify(["keybrake key", owner, label]), "buffer").subarray(0, 16));
}

export function openLedger(deps: QueueDeps): Ledger {
  return new StoreLedger(deps);
}

class StoreLedger implements Ledger {
  readonly #deps: QueueDeps;
  readonly #queues = new Map<string, KeyQueue>();
  /** Calls that this process is sending: call id → key id. */
  readonly #inFlight = new Map<string, string>();
  /** Issues that one policy's day counts, by policy. */
  readonly #days = new Lanes();
  #draining = false;

  constructor(deps: QueueDeps) {
    this.#deps = deps;
  }

  async key(keyId: string): Promise<KeyState | null> {
    return this.peek(keyId) ?? this.fresh(keyId);
  }

  fresh(keyId: string): Promise<KeyState | null> {
    return guarded(() => this.#queue(keyId).read());
  }

  peek(keyId: string): KeyState | null {
    return this.#queues.get(keyId)?.state ?? null;
  }

  issue: Ledger["issue"] = (request) =>
    guarded(async () => {
      const keyId = keyIdOf(request.owner, request.label);
      const make = () => issueKey(this.#deps, keyId, request);
      const issued = request.day
        ? ((await existingKey(this.#deps, keyId, request)) ?? (await this.#days.run(request.day.policy, make)))
        : await make();
      if (issued.version !== null) this.#queue(issued.key.keyId).adopt(issued.key, issued.version);
      return { created: issued.created, key: issued.key };
    });

  reserve: Ledger["reserve"] = async (keyId, request) => {
    if (this.#draining) throw new Refusal("overloaded", "the proxy is shutting down; try again");
    const queue = this.#queue(keyId);
    const decision = await queue.submit({ kind: "reserve", request });
    const key = queue.state ?? (await this.#known(keyId));
    if (decision.kind === "repeat") return { kind: "repeat", call: decision.call, key };
    const { call, send } = decision;
    this.#inFlight.set(call.id, keyId);
    return { kind: "forward", call, send, vendorKey: vendorKeyOf(call), key };
  };

  finish: Ledger["finish"] = async (keyId, callId, send, outcome) => {
    const call = await this.#queue(keyId).submit({ kind: "finish", callId, send, outcome });
    this.#inFlight.delete(callId);
    return call;
  };

  finishLater: Ledger["finishLater"] = (keyId, callId, send, outcome) => {
    void this.#retry(() => this.finish(keyId, callId, send, outcome));
  };

  refused: Ledger["refused"] = (keyId, refused) => {
    const callId = callIdOf(this.#deps.random.bytes(16));
    this.#queue(keyId)
      .submit({ kind: "refused", callId, refused })
      .catch(() => this.#deps.log.warn({ key_id: keyId, code: refused.code }, "a refusal was not recorded"));
    return callId;
  };

  act: Ledger["act"] = async (keyId, act) => {
    const queue = this.#queue(keyId);
    const state = await queue.submit({ kind: "act", act });
    queue.logHead(state);
    return state;
  };

  settleByHand: Ledger["settleByHand"] = (call, micros, by, reason) =>
    this.#queue(call.keyId).submit({
      kind: "by_hand",
      callId: call.id,
      decision: { settleMicros: micros },
      by,
      reason,
    });

  releaseByHand: Ledger["releaseByHand"] = (call, by, reason) =>
    this.#queue(call.keyId).submit({ kind: "by_hand", callId: call.id, decision: "release", by, reason });

  evidence: Ledger["evidence"] = (call: Call, outcome: Outcome) =>
    this.#queue(call.keyId).submit({ kind: "evidence", callId: call.id, sends: call.sends, outcome });

  adjust: Ledger["adjust"] = (call, micros, reason) =>
    this.#queue(call.keyId).submit({ kind: "adjust", callId: call.id, micros, reason });

  lose: Ledger["lose"] = (call, code) => this.#queue(call.keyId).submit({ kind: "lose", callId: call.id, code });

  receipt: Ledger["receipt"] = (keyId, callId) =>
    guarded(async () => {
      const snapshot = await this.#deps.store.read(keyId, [`r:${callId}`]);
      return (snapshot && docAs(snapshot.docs, "r", callId)?.sealed) ?? null;
    });

  ownsObject: Ledger["ownsObject"] = (keyId, vendor, object) =>
    guarded(async () => {
      const key = await this.#known(keyId);
      const id = objectKey(key.salt, vendor, object);
      const snapshot = await this.#deps.store.read(keyId, [`o:${id}`]);
      return snapshot !== null && (docAs(snapshot.docs, "o", id)?.callId ?? null) !== null;
    });

  recover: Ledger["recover"] = async () => {
    if (!this.#deps.store.exclusive) return 0;
    let lost = 0;
    let cursor: string | null = null;
    do {
      const page = await this.#deps.store.listOpenCalls(RECOVER_PAGE, cursor);
      const reserved = page.items.filter((call) => call.state === "reserved");
      await Promise.all(reserved.map((call) => this.lose(call, "restart")));
      lost += reserved.length;
      cursor = page.cursor;
    } while (cursor !== null);
    return lost;
  };

  drain: Ledger["drain"] = async (ms) => {
    this.#draining = true;
    const { clock } = this.#deps;
    const end = clock.now() + ms;
    while (this.#busy && clock.now() < end) await clock.delay(DRAIN_STEP_MS);
    // A reservation that still waits for the store becomes one that is in flight.
    await Promise.all([...this.#queues.values()].map((queue) => queue.settled()));
    const left = [...this.#inFlight];
    await Promise.allSettled(
      left.map(([callId, keyId]) => this.#queue(keyId).submit({ kind: "lose", callId, code: "shutdown" })),
    );
    for (const queue of this.#queues.values()) {
      await queue.settled();
      if (queue.state) queue.logHead(queue.state);
    }
  };

  get #busy(): boolean {
    return this.#inFlight.size > 0 || [...this.#queues.values()].some((queue) => !queue.idle);
  }

  async #known(keyId: string): Promise<KeyState> {
    const key = await this.key(keyId);
    if (!key) throw unavailable();
    return key;
  }

  #queue(keyId: string): KeyQueue {
    const queue = this.#queues.get(keyId) ?? new KeyQueue(keyId, this.#deps);
    this.#queues.delete(keyId);
    this.#queues.set(keyId, queue);
    if (this.#queues.size > CACHED_KEYS) this.#evict();
    return queue;
  }

  #evict(): void {
    for (const [keyId, queue] of this.#queues) {
      if (!queue.idle) continue;
      this.#queues.delete(keyId);
      return;
    }
  }

  async #retry(run: () => Promise<unknown>): Promise<void> {
    const { clock, log, random } = this.#deps;
    for (let tries = 0; ; tries += 1) {
      try {
        await run();
        return;
      } catch (error) {
        if (tries === 0) log.error({ err: error }, "an outcome is not in the ledger yet; it is retried");
        if (this.#draining && tries > 3) return;
        await clock.delay(Math.ceil((0.5 + random.float()) * Math.min(MAX_RETRY_MS, 50 * 2 ** tries)));
      }
    }
  }
}

const vendorKeyOf = (call: Call): string => `${call.id}-${call.generation}`;

/** What the store cannot answer is 503, not a crash. */
async function guarded<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof StoreUnavailable) throw unavailable();
    throw error;
  }
}
