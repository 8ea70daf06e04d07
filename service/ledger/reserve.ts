/**
 * Reserve: which call is this request, and may it be sent? Decided in one place on one consistent state.
 */
import { Refusal } from "../errors.ts";
import { closed, countCall, refuses } from "./balance.ts";
import { blankCall } from "./blank-call.ts";
import { type Draft, NeedDocs } from "./draft.ts";
import { enter, heldFor } from "./exposure.ts";
import { callIdOf, type Identity, identify, requestHash, unknownKey } from "./identity.ts";
import type { ReserveRequest } from "./ledger.ts";
import { moveTo } from "./transition.ts";
import type { Call, Consumer, DocId } from "./types.ts";

/** Identical requests of one task that are told apart (their ids have room for 1024); more need a key of the client's own. */
export const MAX_ORDINALS = 1000;
/** Task attempts and keys that may share one call. */
const MAX_CONSUMERS = 64;
const MAX_ORDINALS_A_READ = 64;
/** Sends of one call. Its document names the chain record of each, and must stay small: it is written with its neighbours'. */
export const MAX_SENDS = 1000;

export type ReserveDecision = { kind: "forward"; call: Call; send: number } | { kind: "repeat"; call: Call };

/** The call that a request names: one that exists, or the id for a new one. */
type Target = { call: Call; byTask: boolean } | { callId: string };

export function reserve(draft: Draft, request: ReserveRequest): ReserveDecision {
  const shut = closed(draft.state, draft.now);
  if (shut) throw shut;
  const hash = requestHash(draft.state.salt, request);
  const identity: Identity = request.shield ? identify(draft.state.salt, request, hash) : { rule: "none" };
  try {
    return decide(draft, request, identity, hash);
  } catch (error) {
    if (error instanceof Refusal) needNames(draft, identity);
    throw error;
  }
}

/** Names that nobody has read are taken for absent, but no refusal rests on that: even an exhausted cap answers the repeat of a settled call. */
function needNames(draft: Draft, identity: Identity): void {
  if (identity.rule === "none") return;
  draft.need("c", identity.rule === "task" ? identity.ordinal(0) : identity.callId);
  const alias = aliasOf(identity);
  if (alias !== null) draft.need("a", alias);
}

function decide(draft: Draft, request: ReserveRequest, identity: Identity, hash: string): ReserveDecision {
  const target = find(draft, identity);
  const consumer: Consumer | null = identity.rule === "task" ? { attempt: identity.attempt, key: identity.key } : null;
  const decision =
    "call" in target
      ? repeat(draft, request, hash, withConsumer(target.call, consumer), target.byTask)
      : begin(draft, request, newCall(draft, request, { id: target.callId, hash, identity, consumer }));
  const alias = aliasOf(identity);
  if (alias !== null && draft.look("a", alias) == null) draft.write("a", alias, { callId: decision.call.id });
  return decision;
}

/** The second name of a call: a key that may be the client's own means one call with a task and without. */
const aliasOf = (identity: Identity): string | null => ("alias" in identity ? identity.alias : null);

function byAlias(draft: Draft, alias: string | null): Call | null {
  const named = alias === null ? null : draft.look("a", alias);
  return named ? draft.need("c", named.callId) : null;
}

function find(draft: Draft, identity: Identity): Target {
  switch (identity.rule) {
    case "none":
      return { callId: callIdOf(draft.randomId()) };
    case "task":
      return findByTask(draft, identity);
    default: {
      const call = byAlias(draft, aliasOf(identity)) ?? draft.look("c", identity.callId);
      return call ? { call, byTask: false } : { callId: identity.callId };
    }
  }
}

/**
 * The same pair of attempt and key is an SDK's own retry. Otherwise the attempt takes the first call of the row that it has not
 * taken yet: one that may have taken effect before one that was released, so that a decline followed by a success is answered
 * with the success. Only when there is none left is it another call.
 */
function findByTask(draft: Draft, identity: Extract<Identity, { rule: "task" }>): Target {
  const named = byAlias(draft, identity.alias);
  if (named) return { call: named, byTask: true };
  let open: Call | null = null;
  let released: Call | null = null;
  for (let n = 0; n < MAX_ORDINALS; n += 1) {
    const call = lookAt(draft, identity, n);
    if (call === null) {
      const call = open ?? released;
      return call ? { call, byTask: true } : { callId: identity.ordinal(n) };
    }
    const mine = call.consumedBy.filter((consumer) => consumer.attempt === identity.attempt);
    const pending = call.state === "reserved" || call.state === "unknown";
    if (mine.some(({ key }) => (identity.key === null ? pending : key === identity.key))) return { call, byTask: true };
    if (mine.length > 0) continue;
    if (call.state === "released") released ??= call;
    else open ??= call;
  }
  throw new Refusal(
    "request_invalid",
    `task sent ${MAX_ORDINALS} identical requests; send an Idempotency-Key or x-keybrake-dedupe of your own to tell more apart`,
  );
}

/** The first ordinal is taken for absent until the store says otherwise, so that a first request reads nothing; the rest are read in rows that double. */
function lookAt(draft: Draft, identity: Extract<Identity, { rule: "task" }>, n: number): Call | null {
  const call = draft.look("c", identity.ordinal(n));
  if (call !== undefined) return call;
  if (n === 0) return null;
  const ids = Array.from(
    { length: Math.min(MAX_ORDINALS_A_READ, n + 1, MAX_ORDINALS - n) },
    (_, i): DocId => `c:${identity.ordinal(n + i)}`,
  );
  throw new NeedDocs(ids);
}

function withConsumer(call: Call, consumer: Consumer | null): Call {
  if (!consumer) return call;
  const { attempt, key } = consumer;
  if (call.consumedBy.some((other) => other.attempt === attempt && other.key === key)) return call;
  if (call.consumedBy.length >= MAX_CONSUMERS) {
    throw new Refusal("request_invalid", `call ${call.id} was asked for by ${MAX_CONSUMERS} attempts already`, {
      callId: call.id,
    });
  }
  return { ...call, consumedBy: [...call.consumedBy, consumer] };
}

function repeat(draft: Draft, request: ReserveRequest, hash: string, call: Call, byTask: boolean): ReserveDecision {
  const callId = call.id;
  if (call.requestHash !== hash) {
    throw new Refusal("idempotency_mismatch", "this idempotency key was used with another request", { callId });
  }
  switch (call.state) {
    case "settled":
      if (call !== draft.look("c", callId)) draft.write("c", callId, { ...call, token: draft.token });
      return { kind: "repeat", call };
    case "released":
      return begin(draft, request, {
        ...call,
        generation: byTask ? call.generation + 1 : call.generation,
        doubt: false,
      });
    case "reserved":
      if (draft.now < call.leaseUntil) {
        throw new Refusal("in_progress", "the same call is being sent right now; ask again shortly", { callId });
      }
      return sendAgain(draft, request, call);
    default:
      return sendAgain(draft, request, call);
  }
}

/** An UNKNOWN call goes out again under the same vendor key and the reservation that it already holds. */
function sendAgain(draft: Draft, request: ReserveRequest, call: Call): ReserveDecision {
  const callId = call.id;
  if (call.sends >= MAX_SENDS) {
    throw new Refusal(
      "outcome_unknown",
      `this call was sent ${MAX_SENDS} times and nobody knows yet whether it took effect; an operator settles or releases it`,
      { status: 409, callId },
    );
  }
  if (!call.idempotent) {
    throw new Refusal(
      "outcome_unknown",
      "this call was sent and nobody knows yet whether it took effect; the vendor cannot tell a repeat, so it is not sent again",
      { status: 409, callId },
    );
  }
  if (draft.now - call.firstSentAt >= request.idempotencyLifeMs) {
    throw new Refusal(
      "outcome_unknown",
      "this call was sent so long ago that the vendor may have forgotten its idempotency key; an operator settles or releases it",
      { status: 409, callId },
    );
  }
  const sent: Call = {
    ...call,
    sends: call.sends + 1,
    doubt: true,
    leaseUntil: draft.now + request.leaseMs,
    lookup: request.lookup ?? call.lookup,
  };
  const moved = moveTo(draft, sent, "reserved", { act: "reserve" });
  return { kind: "forward", call: moved, send: moved.sends };
}

/** A first send, or the first of a new generation: needs room under the cap. */
function begin(draft: Draft, request: ReserveRequest, call: Call): ReserveDecision {
  if (call.sends >= MAX_SENDS) {
    throw new Refusal("request_invalid", `this call was sent ${MAX_SENDS} times; it is not sent again`, {
      callId: call.id,
    });
  }
  if (request.shield && call.identity === "none") refuseTwin(draft, call);
  const needMicros = Math.max(0, request.quoteMicros - heldFor(draft, request));
  const refusal = refuses(draft.state, request.quoteMicros, needMicros, draft.now);
  if (refusal) {
    refusal.callId = call.sends > 0 ? call.id : null;
    throw refusal;
  }
  enter(draft, request, call.id);
  countCall(draft.state, draft.now);
  const sent: Call = {
    ...call,
    quoteMicros: request.quoteMicros,
    currency: request.currency,
    amountMinor: request.amountMinor,
    reservedMicros: needMicros,
    sends: call.sends + 1,
    firstSentAt: draft.now,
    leaseUntil: draft.now + request.leaseMs,
    lookup: request.lookup,
    status: null,
    code: null,
  };
  const moved = moveTo(draft, sent, "reserved", { act: "reserve", reservedMicros: needMicros });
  return { kind: "forward", call: moved, send: moved.sends };
}

/** A request that nothing tells apart is not sent while an identical one is UNKNOWN. */
function refuseTwin(draft: Draft, call: Call): void {
  if (draft.state.counts.unknown === 0) return;
  const twins = draft.need("u", unknownKey(draft.state.salt, call.requestHash));
  if (!twins) return;
  throw new Refusal(
    "outcome_unknown",
    "an identical call was sent and nobody knows yet whether it took effect; if this is another one, say so with a fresh x-keybrake-dedupe header",
    { status: 409, callId: twins.callId },
  );
}

interface NewCall {
  id: string;
  hash: string;
  identity: Identity;
  consumer: Consumer | null;
}

function newCall(draft: Draft, request: ReserveRequest, { id, hash, identity, consumer }: NewCall): Call {
  const { vendor, endpoint, method, path, task, attempt, idempotent } = request;
  return {
    ...blankCall(draft, id),
    ...{ vendor, endpoint, method, path, task, attempt, idempotent },
    identity: identity.rule,
    consumedBy: consumer ? [consumer] : [],
    requestHash: hash,
    generation: 1,
  };
}
