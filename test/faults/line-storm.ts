/**
 * A crowd on one key whose line to Firestore is harmed again and again: at every place of a request's life, in every way. Each
 * client notes what it was answered; at the end the books, read over a line of their own, must say the same.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock, systemRandom } from "../../service/clock.ts";
import { Refusal } from "../../service/errors.ts";
import { MAX_REFUSAL_ROWS } from "../../service/ledger/acts.ts";
import type { Ledger, Outcome } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import type { Call, CallState } from "../../service/ledger/types.ts";
import { seededFloat } from "../../service/stores/faults.ts";
import { openFirestoreStore } from "../../service/stores/firestore.ts";
import { audit, type Books } from "../ledger/books.ts";
import { ask, budget, declined, forward, ownKey, paid, quiet, timedOut } from "../ledger/fixture.ts";
import { type Fault, type FaultProxy, harms, places, startFaultProxy } from "../support/fault-proxy.ts";

export interface LineStorm {
  seed: number;
  /** `HOST:PORT`. */
  emulator: string;
  clients: number;
  /** In this order; default: every harm at every place, in an order by seed. */
  faults?: readonly Fault[];
}

export interface LineReport {
  happened: number;
  /** Calls by the state that they ended in. */
  states: Partial<Record<CallState, number>>;
  /** Requests that were answered 503. */
  unavailable: number;
}

const PRICE = 10_000;
/** Calls that the cap has room for; later ones are refused. */
const FITS = 400;
const DEADLINE_MS = 600;
/** How long a fault may wait for its place; then another one comes. */
const PATIENCE_MS = 400;
/** How long a connection that fell silent lasts: longer than a request's deadline. */
const SILENCE_MS = 900;
/** Long enough for each client to ask. */
const OUTAGE_MS = 600;
const MAX_CALLS = 3_000;

/** What a client knows of its call in the end. */
interface Known {
  /** It was answered that it is this. */
  ended?: { id: string; state: CallState; costMicros: number };
  /** It was answered that the call is there, made by an earlier try whose answer was lost. */
  held?: boolean;
  /** It was answered that the call is refused. */
  refused?: boolean;
  /** Tries that were answered 503: each may have left a reservation, all together one. */
  unavailable: number;
}

export function everyFault(seed: number): Fault[] {
  const float = seededFloat(seed);
  const all = places.flatMap((place) => harms.map((harm) => ({ place, harm, after: Math.floor(float() * 4) })));
  return all
    .map((fault) => ({ fault, by: float() }))
    .sort((one, other) => one.by - other.by)
    .map(({ fault }) => fault);
}

/** Throws when the books are not what was answered. */
export async function endureLine(storm: LineStorm): Promise<LineReport> {
  const line = await startFaultProxy(storm.emulator);
  const place = { project: `test-${randomBytes(8).toString("hex")}`, database: "keybrake", random: systemRandom };
  const store = await openFirestoreStore({ ...place, emulator: line.host, deadlineMs: DEADLINE_MS });
  const direct = await openFirestoreStore({ ...place, emulator: storm.emulator, deadlineMs: 20_000 });
  try {
    await direct.settingOnce("awake", "yes");
    const ledger = openLedger({ store, clock: systemClock, random: systemRandom, log: quiet });
    const crowd = new Crowd(ledger, line, storm);
    await crowd.run();
    return crowd.compare(await audit(direct, crowd.keyId));
  } finally {
    line.heal();
    await Promise.all([store.close(), direct.close()]);
    await line.stop();
  }
}

class Crowd {
  keyId = "";
  readonly #ledger: Ledger;
  readonly #line: FaultProxy;
  readonly #storm: LineStorm;
  readonly #float: () => number;
  readonly #known = new Map<string, Known>();
  #capMicros = FITS * PRICE;
  #raises = 0;
  #over = false;

  constructor(ledger: Ledger, line: FaultProxy, storm: LineStorm) {
    this.#ledger = ledger;
    this.#line = line;
    this.#storm = storm;
    this.#float = seededFloat(storm.seed);
  }

  async run(): Promise<void> {
    const expiresAt = Date.now() + 3_600_000;
    const issue = () => this.#ledger.issue(budget({ capMicros: this.#capMicros, expiresAt }));
    this.keyId = (await this.#insist(issue)).key.keyId;
    const crowd = [...Array.from({ length: this.#storm.clients }, () => this.#client()), this.#operator()];
    await this.#harm();
    this.#over = true;
    await Promise.all(crowd);
    await this.#insist(() => this.#ledger.act(this.keyId, { act: "resume", by: "op" }));
  }

  async #harm(): Promise<void> {
    const faults = this.#storm.faults ?? everyFault(this.#storm.seed);
    for (const [index, fault] of faults.entries()) {
      if (index === faults.length >> 1) await this.#outage();
      const before = this.#line.happened.length;
      this.#line.arm(fault);
      for (let ms = 0; ms < PATIENCE_MS && this.#line.happened.length === before; ms += 5) await delay(5);
      if (fault.harm === "deaf" || fault.harm === "void" || fault.harm === "half_open") await delay(SILENCE_MS);
      this.#line.heal();
      // Something must get through in between, else only the first request of a connection is ever harmed.
      await delay(this.#float() * 150);
    }
  }

  async #outage(): Promise<void> {
    await this.#line.refuse();
    await delay(OUTAGE_MS);
    await this.#line.accept();
  }

  async #client(): Promise<void> {
    while (!this.#over && this.#known.size < MAX_CALLS) {
      const name = `call-${this.#known.size}`;
      const known: Known = { unavailable: 0 };
      this.#known.set(name, known);
      await this.#call(name, known);
      await delay(100 + this.#float() * 200);
    }
  }

  async #call(name: string, known: Known): Promise<void> {
    const [persistent, fate] = [this.#float() < 0.7, this.#float()];
    const request = ask({ clientKey: ownKey(name), path: `/v1/${name}`, quoteMicros: PRICE });
    for (;;) {
      try {
        const { call, send } = await forward(this.#ledger, this.keyId, request);
        const outcome: Outcome = fate < 0.6 ? paid(7_000) : fate < 0.8 ? declined : timedOut;
        const ended = await this.#insist(() => this.#ledger.finish(this.keyId, call.id, send, outcome));
        known.ended = { id: ended.id, state: ended.state, costMicros: ended.costMicros };
        return;
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        if (error.code === "in_progress") known.held = true;
        else if (error.code !== "ledger_unavailable") known.refused = true;
        else {
          known.unavailable += 1;
          await delay(20);
          if (persistent && !this.#over) continue;
        }
        return;
      }
    }
  }

  /** Pauses, resumes and raises, each as often as it takes. */
  async #operator(): Promise<void> {
    const act = (what: Parameters<Ledger["act"]>[1]) => this.#insist(() => this.#ledger.act(this.keyId, what));
    while (!this.#over) {
      await act({ act: "pause", by: "op", reason: "look" });
      this.#capMicros += 5 * PRICE;
      this.#raises += 1;
      await act({ act: "raise", by: "op", capMicros: this.#capMicros });
      await act({ act: "resume", by: "op" });
      await delay(700);
    }
  }

  async #insist<T>(run: () => Promise<T>): Promise<T> {
    for (let tries = 0; tries < 1_000; tries += 1) {
      try {
        return await run();
      } catch (error) {
        if (!(error instanceof Refusal && error.code === "ledger_unavailable")) throw error;
        await delay(20);
      }
    }
    throw new Error("the ledger never came back");
  }

  compare({ key, calls, commits }: Books): LineReport {
    const rows = new Map<string, Call[]>();
    for (const call of calls) rows.set(call.path.slice(4), [...(rows.get(call.path.slice(4)) ?? []), call]);
    const rowsLeft = key.refusalRows < MAX_REFUSAL_ROWS;
    for (const [name, known] of this.#known) compareCall(name, known, rows.get(name) ?? [], rowsLeft);
    assert.equal(key.capMicros, this.#capMicros, "the cap is not the last one that was acknowledged");
    const raises = commits.flat().filter(({ act }) => act === "raise").length;
    assert.equal(raises, this.#raises, "a raise is not chained exactly once");
    assert.equal(key.status, "active", "the last resume was lost");
    const states: LineReport["states"] = {};
    for (const { state } of calls) states[state] = (states[state] ?? 0) + 1;
    const unavailable = [...this.#known.values()].reduce((sum, known) => sum + known.unavailable, 0);
    return { happened: this.#line.happened.length, states, unavailable };
  }
}

/** @param rowsLeft every refusal has its row. */
function compareCall(name: string, known: Known, rows: readonly Call[], rowsLeft: boolean): void {
  const { ended, held, refused, unavailable } = known;
  const made = rows.filter(({ state }) => state !== "refused");
  const refusals = rows.length - made.length;
  assert(made.length <= 1, `${name} is there ${made.length} times`);
  assert(refusals <= (refused ? 1 : 0) + unavailable, `${name} was refused ${refusals} times`);
  const [call] = made;
  if (ended) {
    const { id, state, costMicros, sends } = call ?? {};
    assert.deepEqual({ id, state, costMicros, sends }, { ...ended, sends: 1 }, `${name} is not what was answered`);
  } else if (held || call) {
    // A pause in between refuses the repeat of what an unheard try had reserved.
    assert(unavailable > 0, `${name} was never in doubt, and holds money`);
    assert.equal(call?.state, "reserved", `${name} is not held`);
  } else assert(!refused || refusals > 0 || !rowsLeft, `the refusal of ${name} has no row`);
}
