/**
 * A job in a storm: tasks of two attempts, SDK retries, dying clients and proxies, a vendor that loses answers, a store that
 * fails, an operator, several proxy instances, all at once. At the end the vendor's books must be the ledger's.
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { Refusal } from "../../service/errors.ts";
import type { Outcome } from "../../service/ledger/ledger.ts";
import type { Call } from "../../service/ledger/types.ts";
import { seededFloat } from "../../service/stores/faults.ts";
import { audit, readBooks } from "./books.ts";
import {
  ask,
  declined,
  type Forward,
  failed500,
  issued,
  makeWorld,
  paid,
  SECOND,
  sdkKey,
  timedOut,
  type World,
} from "./fixture.ts";

export interface Storm {
  seed: number;
  instances: number;
  tasks: number;
  /** Texts that every task sends, in this order; equal ones are sent as often as they stand here. */
  program: string[];
  capMicros: number;
  /** The operator revokes the key in the middle. */
  revoked: boolean;
  /** The store fails so often, of 1. */
  failing: number;
  /** The vendor knows our idempotency key. */
  idempotent: boolean;
}

export const PRICE = 1_000;

/** What the vendor did: by our idempotency key where it honours one. */
class SimulatedVendor {
  readonly executed: { vendorKey: string; task: number; text: string }[] = [];
  readonly #idempotent: boolean;

  constructor(idempotent: boolean) {
    this.#idempotent = idempotent;
  }

  did(vendorKey: string): boolean {
    return this.executed.some((each) => each.vendorKey === vendorKey);
  }

  act(vendorKey: string, task: number, text: string): void {
    if (!this.#idempotent || !this.did(vendorKey)) this.executed.push({ vendorKey, task, text });
  }
}

class ProxyDied extends Error {}

class Crowd {
  readonly storm: Storm;
  readonly world: World;
  readonly vendor: SimulatedVendor;
  readonly #float: () => number;
  #keys = 0;
  keyId = "";
  revokeAcknowledged = false;

  constructor(storm: Storm) {
    this.storm = storm;
    const { seed, instances, failing } = storm;
    const faults = { conflict: 0.1, doubt: 0.1, unavailable: failing, readUnavailable: failing, turns: 4 };
    this.world = makeWorld({ seed, instances, faults });
    this.vendor = new SimulatedVendor(storm.idempotent);
    this.#float = seededFloat(seed + 1);
  }

  chance(of: number): boolean {
    return this.#float() < of;
  }

  #ledger() {
    const { ledgers } = this.world;
    return ledgers[Math.floor(this.#float() * ledgers.length)]!;
  }

  /** Tries until the store lets it. */
  async insist<T>(run: () => Promise<T>): Promise<T> {
    for (let tries = 0; tries < 10_000; tries += 1) {
      try {
        return await run();
      } catch (error) {
        if (!(error instanceof Refusal && error.code === "ledger_unavailable")) throw error;
        await setImmediate();
      }
    }
    throw new Error("the ledger never came back");
  }

  /** One attempt of one task: its whole program, unless it dies. */
  async attempt(task: number, attempt: number): Promise<void> {
    for (const text of this.storm.program) {
      this.#keys += 1;
      const key = `random ${this.#keys}`;
      for (let tries = 0; tries < 3; tries += 1) {
        if (await this.#request(task, attempt, text, key)) break;
      }
      if (attempt === 0 && this.chance(0.15)) return;
    }
  }

  /** @returns whether the SDK has an answer that it does not retry. */
  async #request(task: number, attempt: number, text: string, key: string): Promise<boolean> {
    const { idempotent } = this.storm;
    const request = ask({ canonical: text, quoteMicros: PRICE, task, attempt, clientKey: sdkKey(key), idempotent });
    const ledger = this.#ledger();
    const afterRevoke = this.revokeAcknowledged;
    try {
      const answer = await ledger.reserve(this.keyId, request);
      assert(!afterRevoke, "answered after the revoke was acknowledged");
      if (answer.kind === "repeat") return true;
      await this.#send(ledger, answer, task, text);
      return true;
    } catch (error) {
      if (error instanceof ProxyDied) return false;
      if (!(error instanceof Refusal)) throw error;
      return !["ledger_unavailable", "in_progress", "overloaded"].includes(error.code);
    }
  }

  async #send(ledger: World["ledger"], { call, send, vendorKey }: Forward, task: number, text: string): Promise<void> {
    const durable = await this.insist(async () => (await readBooks(this.world.store, this.keyId)).calls);
    const row = durable.find((each) => each.id === call.id);
    assert(row && row.sends >= send, "a call was sent before it was durable");
    await setImmediate();
    const executed = this.chance(0.7);
    if (executed) this.vendor.act(vendorKey, task, text);
    if (this.chance(0.08)) throw new ProxyDied();
    if (this.chance(0.1)) this.world.clock.time += 40 * SECOND;
    const lost = this.chance(0.3);
    const outcome = lost ? (this.chance(0.5) ? timedOut : failed500) : executed ? paid(PRICE) : declined;
    await this.insist(() => ledger.finish(this.keyId, call.id, send, outcome));
  }

  async operator(): Promise<void> {
    const { capMicros, revoked } = this.storm;
    for (let turn = 0; turn < 15; turn += 1) await setImmediate();
    const act = (what: Parameters<World["ledger"]["act"]>[1]) =>
      this.insist(() => this.#ledger().act(this.keyId, what));
    await act({ act: "pause", by: "op", reason: "look" });
    await act({ act: "raise", by: "op", capMicros: capMicros + PRICE });
    await act({ act: "resume", by: "op" });
    for (let turn = 0; turn < 15; turn += 1) await setImmediate();
    if (!revoked) return;
    await act({ act: "revoke", by: "op", reason: "stop" });
    this.revokeAcknowledged = true;
  }

  /** What the reconciler does: nobody sends any more, and the vendor is asked. */
  async reconcile(call: Call): Promise<void> {
    const ledger = this.world.ledger;
    const lost = await ledger.lose(call, "restart");
    const did = this.vendor.did(`${call.id}-${call.generation}`);
    const truth: Outcome = did ? paid(PRICE) : { kind: "release", status: null, code: "absent" };
    await ledger.evidence(lost, truth);
  }
}

/** Throws when any invariant is broken. */
export async function endure(storm: Storm): Promise<void> {
  const crowd = new Crowd(storm);
  const { store, ledgers } = crowd.world;
  crowd.keyId = (await crowd.insist(() => issued(ledgers[0]!, { capMicros: storm.capMicros }))).keyId;
  const tasks = Array.from({ length: storm.tasks }, async (_, task) => {
    await crowd.attempt(task, 0);
    await crowd.attempt(task, 1);
  });
  let working = true;
  const auditor = (async () => {
    while (working) await audit(store, crowd.keyId);
  })();
  await Promise.all([...tasks, crowd.operator()]).finally(() => {
    working = false;
  });
  await auditor;

  store.plan(null);
  const { calls } = await audit(store, crowd.keyId);
  for (const call of calls) if (call.state === "reserved" || call.state === "unknown") await crowd.reconcile(call);
  const { key } = await audit(store, crowd.keyId);
  const { executed } = crowd.vendor;
  assert.equal(key.reservedMicros, 0, "something is held when all is known");
  assert.equal(key.spentMicros, executed.length * PRICE, "the ledger's books are not the vendor's");
  assert(key.spentMicros <= storm.capMicros + PRICE, "over the cap");
  for (let task = 0; task < storm.tasks; task += 1) {
    for (const text of new Set(storm.program)) {
      const times = executed.filter((each) => each.task === task && each.text === text).length;
      const wanted = storm.program.filter((each) => each === text).length;
      assert(times <= wanted, `task ${task} wanted "${text}" ${wanted} times, the vendor did it ${times} times`);
    }
  }
}

export const stormProperty = fc.asyncProperty(
  fc.record({
    seed: fc.nat(),
    instances: fc.integer({ min: 1, max: 4 }),
    tasks: fc.integer({ min: 1, max: 8 }),
    program: fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 4 }),
    capMicros: fc.integer({ min: 1, max: 30 }).map((calls) => calls * PRICE),
    revoked: fc.boolean(),
    failing: fc.constantFrom(0, 0.05),
    idempotent: fc.boolean(),
  }),
  endure,
);
