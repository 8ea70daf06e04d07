/**
 * The ledger as a few lists and loops, written from the rules and not from the code: no ids, no hashes, no cache, no commits.
 * Slow and obviously right; the real one must give the same answers. It sees one request at a time.
 */
import type { Code } from "../../service/errors.ts";
import type { IssueRequest, KeyAct, Outcome, ReserveRequest } from "../../service/ledger/ledger.ts";

export interface ModelCall {
  state: "reserved" | "settled" | "released" | "unknown";
  text: string;
  /** Names that lead to it: a key of the client's own, a dedupe header, an alias. */
  names: string[];
  /** The task and text whose row it stands in. */
  row: string | null;
  takers: { attempt: number; key: string | null }[];
  rule: "key" | "dedupe" | "task" | "generated_key" | "none";
  quote: number;
  held: number;
  cost: number;
  pricePending: boolean;
  generation: number;
  sends: number;
  unsure: boolean;
  idempotent: boolean;
  firstSentAt: number;
  leaseUntil: number;
  objectId: string | null;
}

/** One vendor object: whose spend it is, the calls about it that were open, and whether one of them ended before another. */
interface ModelObject {
  owner: ModelCall | null;
  about: ModelCall[];
  overlapped: boolean;
}

export interface ModelKey {
  request: IssueRequest;
  cap: number | null;
  status: "active" | "paused" | "revoked";
  reason: string | null;
  execution: string | null;
  calls: ModelCall[];
  objects: Map<string, ModelObject>;
  begun: number[];
  refusals: number;
  day: string;
  daySpent: number;
}

export type Answer = { kind: "refused"; code: Code } | { kind: "forward" | "repeat"; call: ModelCall };

const refuse = (code: Code): Answer => ({ kind: "refused", code });
const dayOf = (now: number) => new Date(now).toISOString().slice(0, 10);
const isOpen = (call: ModelCall) => call.state === "reserved" || call.state === "unknown";

export const newModelKey = (request: IssueRequest): ModelKey => ({
  request,
  cap: request.capMicros,
  status: "active",
  reason: null,
  execution: request.execution,
  calls: [],
  objects: new Map(),
  begun: [],
  refusals: 0,
  day: "",
  daySpent: 0,
});

export const spentOf = (key: ModelKey) => key.calls.reduce((sum, call) => sum + call.cost, 0);
export const reservedOf = (key: ModelKey) => key.calls.reduce((sum, call) => sum + call.held, 0);
export const daySpentOf = (key: ModelKey, now: number) => (key.day === dayOf(now) ? key.daySpent : 0);

function spend(key: ModelKey, micros: number, now: number): void {
  if (micros === 0) return;
  key.daySpent = Math.max(0, daySpentOf(key, now) + micros);
  key.day = dayOf(now);
}

function overrun(key: ModelKey): void {
  if (key.status === "revoked") return;
  key.status = "paused";
  key.reason = "cost_over_reservation";
}

export function reserve(key: ModelKey, request: ReserveRequest, now: number): Answer {
  const answer = decide(key, request, now);
  if (answer.kind === "refused") key.refusals += 1;
  return answer;
}

function decide(key: ModelKey, request: ReserveRequest, now: number): Answer {
  if (key.status === "revoked") return refuse("key_revoked");
  if (now >= key.request.expiresAt) return refuse("key_expired");
  if (key.status === "paused") return refuse("key_paused");
  const { vendor, clientKey, task, attempt } = request;
  const text = `${vendor} ${request.canonical}`;
  const keyName = clientKey && `${vendor} key ${clientKey.value}`;
  const sdkMade = clientKey !== null && clientKey.madeBy !== "client";

  if (!request.shield) return begin(key, request, fresh(request, text, "none"), now);
  if (clientKey && !sdkMade) return byName(key, request, text, keyName!, "key", now);
  if (request.dedupe !== null) return byName(key, request, text, `${vendor} dedupe ${request.dedupe}`, "dedupe", now);
  if (task === null || attempt === null) {
    if (keyName) return byName(key, request, text, keyName, "generated_key", now, aliasName(request));
    return begin(key, request, fresh(request, text, "none"), now);
  }
  const alias = aliasName(request);
  const taker = { attempt, key: clientKey?.value ?? null };
  const found = key.calls.find((call) => alias !== null && call.names.includes(alias)) ?? inRow(key, text, task, taker);
  const call = found ?? { ...fresh(request, text, "task"), row: `${task} ${text}` };
  const answer = found ? again(key, request, found, text, true, now) : begin(key, request, call, now);
  if (answer.kind !== "refused") {
    if (!call.takers.some((other) => other.attempt === attempt && other.key === taker.key)) call.takers.push(taker);
    if (alias !== null && !call.names.includes(alias)) call.names.push(alias);
  }
  return answer;
}

function byName(
  key: ModelKey,
  request: ReserveRequest,
  text: string,
  name: string,
  rule: ModelCall["rule"],
  now: number,
  alias: string | null = null,
): Answer {
  const found = key.calls.find((call) => alias !== null && call.names.includes(alias));
  const call = found ?? key.calls.find((other) => other.names.includes(name));
  if (call) return again(key, request, call, text, false, now);
  const names = alias === null ? [name] : [name, alias];
  return begin(key, request, { ...fresh(request, text, rule), names }, now);
}

/** A key that may be the client's own names one call with a task and without. */
function aliasName({ vendor, clientKey }: ReserveRequest): string | null {
  return clientKey?.madeBy === "maybe" ? `${vendor} alias ${clientKey.value}` : null;
}

function inRow(key: ModelKey, text: string, task: number, taker: ModelCall["takers"][0]): ModelCall | undefined {
  const row = key.calls.filter((call) => call.row === `${task} ${text}`);
  const tookBy = (call: ModelCall) => call.takers.filter((other) => other.attempt === taker.attempt);
  const mine = row.find((call) => tookBy(call).some((other) => (taker.key ? other.key === taker.key : isOpen(call))));
  const left = row.filter((call) => tookBy(call).length === 0);
  return mine ?? left.find((call) => call.state !== "released") ?? left[0];
}

function fresh(request: ReserveRequest, text: string, rule: ModelCall["rule"]): ModelCall {
  return {
    state: "released",
    text,
    names: [],
    row: null,
    takers: [],
    rule,
    quote: 0,
    held: 0,
    cost: 0,
    pricePending: false,
    generation: 1,
    sends: 0,
    unsure: false,
    idempotent: request.idempotent,
    firstSentAt: 0,
    leaseUntil: 0,
    objectId: null,
  };
}

function again(
  key: ModelKey,
  request: ReserveRequest,
  call: ModelCall,
  text: string,
  byTask: boolean,
  now: number,
): Answer {
  if (call.text !== text) return refuse("idempotency_mismatch");
  if (call.state === "settled") return { kind: "repeat", call };
  if (call.state === "released") return begin(key, request, call, now, byTask ? 1 : 0);
  if (call.state === "reserved" && now < call.leaseUntil) return refuse("in_progress");
  if (!call.idempotent || now - call.firstSentAt >= request.idempotencyLifeMs) return refuse("outcome_unknown");
  call.state = "reserved";
  call.sends += 1;
  call.unsure = true;
  call.leaseUntil = now + request.leaseMs;
  return { kind: "forward", call };
}

function begin(key: ModelKey, request: ReserveRequest, call: ModelCall, now: number, nextGeneration = 0): Answer {
  const { scope, dailyCapMicros } = key.request;
  const twin = key.calls.some((other) => other.state === "unknown" && other.text === call.text);
  if (request.shield && call.rule === "none" && twin) return refuse("outcome_unknown");
  const object = request.object === null ? null : objectOf(key, `${request.vendor} ${request.object}`);
  const owner = object?.owner;
  const need = Math.max(0, request.quoteMicros - (owner ? owner.cost + owner.held : 0));
  const held = reservedOf(key);
  if (scope.perCallMicros !== null && request.quoteMicros > scope.perCallMicros) return refuse("per_call_exceeded");
  // A key that is over its cap still takes what needs no money.
  if (need > 0 && key.cap !== null && spentOf(key) + held + need > key.cap) return refuse("cap_exhausted");
  if (need > 0 && dailyCapMicros !== null && daySpentOf(key, now) + held + need > dailyCapMicros) {
    return refuse("cap_exhausted");
  }
  if (key.calls.filter((other) => other.state === "reserved").length >= scope.concurrency)
    return refuse("rate_exhausted");
  if (scope.maxCalls !== null && key.begun.length >= scope.maxCalls) return refuse("rate_exhausted");
  const minute = Math.floor(now / 60_000);
  const inMinute = key.begun.filter((at) => Math.floor(at / 60_000) === minute).length;
  if (scope.callsPerMinute !== null && inMinute >= scope.callsPerMinute) return refuse("rate_exhausted");

  if (object) {
    const others = object.about.filter((other) => other !== call && isOpen(other));
    if (others.length >= 32) return refuse("in_progress");
    // Nobody else is open: it starts afresh.
    if (others.length === 0) object.overlapped = false;
    object.about = [...others, call];
  }
  key.begun.push(now);
  if (call.sends === 0) key.calls.push(call);
  call.state = "reserved";
  call.generation += nextGeneration;
  call.sends += 1;
  call.unsure = false;
  call.quote = request.quoteMicros;
  call.held = need;
  call.firstSentAt = now;
  call.leaseUntil = now + request.leaseMs;
  return { kind: "forward", call };
}

export function finish(key: ModelKey, call: ModelCall, send: number, outcome: Outcome, now: number): void {
  if (outcome.kind === "settle") {
    settle(key, call, outcome, now);
  } else if (isOpen(call) && send === call.sends) {
    if (outcome.kind === "release" && !call.unsure) release(call);
    else [call.state, call.unsure] = ["unknown", true];
  }
}

export function evidence(key: ModelKey, call: ModelCall, seenSends: number, outcome: Outcome, now: number): void {
  if (call.state !== "unknown" || call.sends !== seenSends || outcome.kind === "unknown") return;
  if (outcome.kind === "settle") settle(key, call, outcome, now);
  else release(call);
}

export function byHand(key: ModelKey, call: ModelCall, decision: number | "release", now: number): Code | null {
  if (call.state !== "unknown") return "call_state";
  if (decision === "release") release(call);
  else settleAt(key, call, decision, now);
  return null;
}

export function adjust(key: ModelKey, call: ModelCall, micros: number, now: number): void {
  if (call.state !== "settled") return;
  const more = micros - call.cost;
  call.cost = micros;
  call.pricePending = false;
  spend(key, more, now);
  const { dailyCapMicros } = key.request;
  const over = key.cap !== null && spentOf(key) + reservedOf(key) > key.cap;
  const dayOver = dailyCapMicros !== null && daySpentOf(key, now) + reservedOf(key) > dailyCapMicros;
  if (more > 0 && (micros > call.quote || over || dayOver)) overrun(key);
}

export function lose(call: ModelCall): void {
  if (call.state !== "reserved") return;
  call.state = "unknown";
  call.unsure = true;
}

export function act(key: ModelKey, what: KeyAct): Code | null {
  if (what.act === "revoke") {
    if (key.status !== "revoked") [key.status, key.reason] = ["revoked", what.reason];
    return null;
  }
  if (what.act === "bind") {
    if (key.execution !== null && key.execution !== what.execution) return "call_state";
    key.execution = what.execution;
    return null;
  }
  if (key.status === "revoked") return "call_state";
  if (what.act === "pause" && key.status === "active") [key.status, key.reason] = ["paused", what.reason];
  if (what.act === "resume") [key.status, key.reason] = ["active", null];
  if (what.act === "raise") {
    if (key.cap === null || what.capMicros < key.cap) return "request_invalid";
    key.cap = what.capMicros;
  }
  return null;
}

function release(call: ModelCall): void {
  call.state = "released";
  call.held = 0;
  call.unsure = false;
}

function settle(key: ModelKey, call: ModelCall, outcome: Extract<Outcome, { kind: "settle" }>, now: number): void {
  const twice = call.state === "settled";
  // A second settle counts only when it names another object: then the vendor has acted twice.
  if (twice && (!outcome.objectId || !call.objectId || outcome.objectId === call.objectId)) return;
  const held = call.held;
  const name = outcome.object === null ? null : `${call.text.split(" ")[0]} ${outcome.object}`;
  const object = name === null ? null : objectOf(key, name);
  if (object && object.owner?.state !== "settled") object.owner = call;
  const elsewhere = object && object.owner !== call ? object.owner : null;
  const crowded = object !== null && leave(object, call);
  call.objectId = outcome.objectId ?? call.objectId;
  settleAt(key, call, (twice ? call.cost : 0) + (elsewhere ? 0 : outcome.micros), now);
  call.pricePending = outcome.pricePending;
  if (!elsewhere) return;
  // Among calls that overlap, the order of the answers is not the order at the vendor: the most that any of them names counts.
  const more = crowded ? Math.max(0, outcome.micros - elsewhere.cost) : outcome.micros - elsewhere.cost;
  elsewhere.cost += more;
  spend(key, more, now);
  if (more > held) overrun(key);
}

function objectOf(key: ModelKey, name: string): ModelObject {
  const known = key.objects.get(name);
  if (known) return known;
  const object: ModelObject = { owner: null, about: [], overlapped: false };
  key.objects.set(name, object);
  return object;
}

/** @returns true unless the call was alone with the object from its reservation to its end. */
function leave(object: ModelObject, call: ModelCall): boolean {
  const others = object.about.filter((other) => other !== call && isOpen(other));
  const alone = isOpen(call) && object.about.includes(call) && others.length === 0 && !object.overlapped;
  object.about = others;
  object.overlapped = others.length > 0;
  return !alone;
}

function settleAt(key: ModelKey, call: ModelCall, cost: number, now: number): void {
  const more = cost - call.cost;
  if (more > call.held) overrun(key);
  call.state = "settled";
  call.unsure = false;
  call.held = 0;
  call.cost = cost;
  spend(key, more, now);
}
