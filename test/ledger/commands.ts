/** fast-check's commands on the model and on the real ledger side by side: after each, both must agree and the books be right. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Code } from "../../service/errors.ts";
import type { KeyAct, Ledger, Outcome, ReserveRequest } from "../../service/ledger/ledger.ts";
import type { Store } from "../../service/stores/store.ts";
import { audit } from "./books.ts";
import {
  ask,
  budget,
  codeOf,
  DAY,
  HOUR,
  type ManualClock,
  MINUTE,
  maybeKey,
  ownKey,
  paid,
  SECOND,
  sdkKey,
} from "./fixture.ts";
import * as model from "./model.ts";

export interface Pair {
  label: string;
  keyId: string;
  model: model.ModelKey;
  /** The real call's id of every call of the model, and back. */
  ids: Map<model.ModelCall, string>;
}

export interface Sent {
  pair: Pair;
  call: model.ModelCall;
  send: number;
}

export interface Model {
  pairs: Pair[];
  sent: Sent[];
  /** Execution's name → the first key that was bound to it. */
  aliases: Map<string, string>;
  /** Policy's UTC day → what its keys count. */
  days: Map<string, { issued_micros: number; keys: number }>;
}

export interface Real {
  clock: ManualClock;
  store: Store;
  /** Any instance may get the next request. */
  pick: (n: number) => Ledger;
}

type Step = fc.AsyncCommand<Model, Real>;

const at = <T>(items: readonly T[], n: number): T => items[n % items.length]!;

/** Both sides agree on every key, and the store's books are right. */
async function agree(m: Model, r: Real): Promise<void> {
  for (const { keyId, model: key, ids } of m.pairs) {
    const now = r.clock.now();
    const { key: state, calls } = await audit(r.store, keyId);
    const today = state.windowId === new Date(now).toISOString().slice(0, 10) ? state.windowSpentMicros : 0;
    const { status, reason, execution, spentMicros, reservedMicros, counts } = state;
    const refusals = Object.values(state.refusals).reduce((sum, each) => sum + each, 0);
    assert.deepEqual(
      {
        status,
        reason,
        execution,
        spentMicros,
        reservedMicros,
        today,
        refusals,
        calls: counts.calls,
        cap: state.capMicros,
      },
      {
        status: key.status,
        reason: key.reason,
        execution: key.execution,
        spentMicros: model.spentOf(key),
        reservedMicros: model.reservedOf(key),
        today: model.daySpentOf(key, now),
        refusals: key.refusals,
        calls: key.begun.length,
        cap: key.cap,
      },
    );
    for (const call of key.calls) {
      const real = calls.find((each) => each.id === ids.get(call));
      assert(real, "a call of the model is not in the store");
      assert.deepEqual(
        [real.state, real.reservedMicros, real.costMicros, real.generation, real.sends, real.doubt, real.pricePending],
        [call.state, call.held, call.cost, call.generation, call.sends, call.unsure, call.pricePending],
      );
    }
  }
  const aliases = (await r.store.listRecords("execution", 100, null)).items;
  assert.deepEqual(new Map(aliases.map(({ name, doc }) => [name, doc.key_id])), m.aliases);
  const days = (await r.store.listRecords("policy_day", 100, null)).items;
  assert.deepEqual(new Map(days.map(({ name, doc }) => [name, doc])), m.days);
}

function step<T>(
  name: string,
  values: T,
  run: (m: Model, r: Real) => Promise<void>,
  ready?: (m: Model) => boolean,
): Step {
  return {
    check: (m) => ready?.(m) ?? true,
    run: async (m, r) => {
      await run(m, r);
      await agree(m, r);
    },
    toString: () => `${name}(${JSON.stringify(values)})`,
  };
}

const hasKey = (m: Model) => m.pairs.length > 0;
const hasSent = (m: Model) => m.sent.length > 0;
const micros = fc.constantFrom(0, 1, 400, 600, 1_000);
const n = fc.nat(50);

const executions = ["nightly-1", "nightly-2"];
const POLICY = "nightly";

const issue = fc
  .record({
    n,
    label: fc.constantFrom("a", "b", "c"),
    execution: fc.constantFrom(null, null, null, ...executions),
    day: fc.constantFrom(null, 4_000, 5_000),
    cap: fc.constantFrom(1_000, 3_000, 100_000, null),
    daily: fc.constantFrom(null, null, 1_500),
    life: fc.constantFrom(HOUR, 3 * DAY),
    perCall: fc.constantFrom(null, null, null, 900),
    perMinute: fc.constantFrom(null, null, null, 3),
    maxCalls: fc.constantFrom(null, null, null, 6),
    concurrency: fc.constantFrom(100, 100, 2),
  })
  .map((v) =>
    step("issue", v, async (m, r) => {
      const capMicros = v.cap === null && v.daily === null ? 1_000 : v.cap;
      const scope = {
        perCallMicros: v.perCall,
        callsPerMinute: v.perMinute,
        maxCalls: v.maxCalls,
        concurrency: v.concurrency,
      };
      const { label, execution, daily: dailyCapMicros } = v;
      const asked = JSON.stringify([capMicros, dailyCapMicros, v.life, scope, execution]);
      const day = v.day === null ? {} : { day: { policy: POLICY, limitMicros: v.day } };
      const expiresAt = r.clock.now() + v.life;
      const request = budget({ label, execution, asked, capMicros, dailyCapMicros, scope, expiresAt, ...day });
      const date = `${POLICY}:${new Date(r.clock.now()).toISOString().slice(0, 10)}`;
      const counted = m.days.get(date) ?? { issued_micros: 0, keys: 0 };
      // A daily cap counts once for each day of the lifetime.
      const more = capMicros ?? dailyCapMicros! * (v.life === HOUR ? 1 : 3);
      const pair = m.pairs.find((each) => each.label === label);
      let code: Code | null = null;
      if (pair && (pair.model.status === "revoked" || r.clock.now() >= pair.model.request.expiresAt))
        code = "label_retired";
      else if (pair && pair.model.request.asked !== asked) code = "label_conflict";
      else if (!pair && v.day !== null && counted.issued_micros + more > v.day) code = "policy_denied";
      const issuing = r.pick(v.n).issue(request);
      assert.equal(await codeOf(issuing), code);
      if (code !== null) return;
      const { created, key } = await issuing;
      assert.equal(created, pair === undefined);
      if (pair) assert.equal(key.keyId, pair.keyId);
      if (pair) return;
      m.pairs.push({ label, keyId: key.keyId, model: model.newModelKey(request), ids: new Map() });
      if (execution !== null && !m.aliases.has(execution)) m.aliases.set(execution, key.keyId);
      if (v.day !== null) m.days.set(date, { issued_micros: counted.issued_micros + more, keys: counted.keys + 1 });
    }),
  );

const texts = ["charge 4", "charge 5"];
const clientKeys = [
  null,
  ownKey("own 1"),
  ownKey("own 2"),
  maybeKey("uuid 1"),
  maybeKey("uuid 2"),
  sdkKey("sdk 1"),
  sdkKey("sdk 2"),
];

const reserve = fc
  .record({
    n,
    key: n,
    text: fc.constantFrom(...texts),
    clientKey: fc.constantFrom(...clientKeys),
    dedupe: fc.constantFrom(null, null, null, "dedupe 1"),
    task: fc.constantFrom(null, 0, 0, 1),
    attempt: fc.constantFrom(0, 0, 1),
    quote: micros,
    object: fc.constantFrom(null, null, "pi_1", "pi_2"),
    vendor: fc.constantFrom("stripe", "stripe", "twilio"),
    shield: fc.constantFrom(true, true, true, true, false),
    times: fc.constantFrom(1, 1, 2),
  })
  .map((v) =>
    step(
      "reserve",
      v,
      async (m, r) => {
        const pair = at(m.pairs, v.key);
        const request: ReserveRequest = ask({
          vendor: v.vendor,
          canonical: v.text,
          clientKey: v.clientKey,
          dedupe: v.dedupe,
          task: v.task,
          attempt: v.task === null ? null : v.attempt,
          quoteMicros: v.quote,
          object: v.object,
          shield: v.shield,
          idempotent: v.vendor === "stripe",
        });
        for (let time = 0; time < v.times; time += 1) await reserveBoth(m, r, pair, request, v.n + time);
      },
      hasKey,
    ),
  );

async function reserveBoth(m: Model, r: Real, pair: Pair, request: ReserveRequest, instance: number): Promise<void> {
  const expected = model.reserve(pair.model, request, r.clock.now());
  const reserving = r.pick(instance).reserve(pair.keyId, request);
  assert.equal(await codeOf(reserving), expected.kind === "refused" ? expected.code : null);
  if (expected.kind === "refused") return;
  const answer = await reserving;
  assert.equal(answer.kind, expected.kind);
  const known = pair.ids.get(expected.call);
  if (known === undefined) assert(![...pair.ids.values()].includes(answer.call.id), "two calls of the model are one");
  else assert.equal(answer.call.id, known, "one call of the model is two");
  pair.ids.set(expected.call, answer.call.id);
  if (answer.kind !== "forward") return;
  assert.equal(answer.vendorKey, `${answer.call.id}-${expected.call.generation}`);
  assert.equal(answer.send, expected.call.sends);
  const durable = await r.store.findCall(answer.call.id);
  assert.equal(durable?.state, "reserved", "sent, but not durable");
  m.sent.push({ pair, call: expected.call, send: answer.send });
}

const outcomes: fc.Arbitrary<Outcome> = fc.oneof(
  fc
    .record({
      micros,
      object: fc.constantFrom(null, "pi_1", "pi_2"),
      objectId: fc.constantFrom(null, "ch_1", "ch_2"),
      pricePending: fc.constantFrom(false, false, true),
      receipt: fc.constantFrom(null, "sealed"),
    })
    .map(({ micros, ...rest }) => paid(micros, rest)),
  fc.constant<Outcome>({ kind: "release", status: 402, code: "declined" }),
  fc.constant<Outcome>({ kind: "unknown", status: 500, code: "failed" }),
);

const finish = fc.record({ n, sent: n, outcome: outcomes, times: fc.constantFrom(1, 1, 2) }).map((v) =>
  step(
    "finish",
    v,
    async (m, r) => {
      const { pair, call, send } = at(m.sent, v.sent);
      for (let time = 0; time < v.times; time += 1) {
        model.finish(pair.model, call, send, v.outcome, r.clock.now());
        await r.pick(v.n + time).finish(pair.keyId, pair.ids.get(call)!, send, v.outcome);
      }
    },
    hasSent,
  ),
);

const decide = fc
  .record({
    n,
    sent: n,
    what: fc.constantFrom("evidence", "stale evidence", "by hand", "adjust", "lose"),
    outcome: outcomes,
    micros,
  })
  .map((v) =>
    step(
      "decide",
      v,
      async (m, r) => {
        const { pair, call } = at(m.sent, v.sent);
        const ledger = r.pick(v.n);
        const seen = (await r.store.findCall(pair.ids.get(call)!))!;
        const now = r.clock.now();
        if (v.what === "evidence") {
          model.evidence(pair.model, call, call.sends, v.outcome, now);
          await ledger.evidence(seen, v.outcome);
        } else if (v.what === "stale evidence") {
          await ledger.evidence({ ...seen, sends: seen.sends - 1 }, v.outcome);
        } else if (v.what === "adjust") {
          model.adjust(pair.model, call, v.micros, now);
          await ledger.adjust(seen, v.micros, "true price");
        } else if (v.what === "lose") {
          model.lose(call);
          await ledger.lose(seen, "gone");
        } else {
          const release = v.outcome.kind === "release";
          const code = model.byHand(pair.model, call, release ? "release" : v.micros, now);
          const deciding = release
            ? ledger.releaseByHand(seen, "op", "saw it")
            : ledger.settleByHand(seen, v.micros, "op", "saw it");
          assert.equal(await codeOf(deciding), code);
        }
      },
      hasSent,
    ),
  );

const acts: fc.Arbitrary<KeyAct> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<KeyAct>({ act: "pause", by: "op", reason: "look" }) },
  { weight: 6, arbitrary: fc.constant<KeyAct>({ act: "resume", by: "op" }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(500, 3_000, 5_000).map((capMicros): KeyAct => ({ act: "raise", capMicros, by: "op" })),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(...executions).map((execution): KeyAct => ({ act: "bind", execution, by: "setup" })),
  },
  // Ends the story of its key: seldom.
  { weight: 1, arbitrary: fc.constant<KeyAct>({ act: "revoke", by: "op", reason: "stop" }) },
);
const operate = fc.record({ n, key: n, act: acts }).map((v) =>
  step(
    "act",
    v,
    async (m, r) => {
      const pair = at(m.pairs, v.key);
      const code = model.act(pair.model, v.act);
      if (v.act.act === "bind" && code === null && !m.aliases.has(v.act.execution)) {
        m.aliases.set(v.act.execution, pair.keyId);
      }
      assert.equal(await codeOf(r.pick(v.n).act(pair.keyId, v.act)), code);
    },
    hasKey,
  ),
);

const tick = fc.constantFrom(SECOND, MINUTE, 101 * SECOND, 20 * MINUTE, HOUR, 12 * HOUR, 23 * HOUR).map((ms) =>
  step("tick", ms, async (_, r) => {
    r.clock.time += ms;
  }),
);

/** Mostly calls and their ends. */
export const commands = fc.commands(
  [issue, reserve, reserve, reserve, reserve, finish, finish, finish, decide, operate, tick],
  { maxCommands: 60, size: "max" },
);
