/** How the truth about an UNKNOWN call, or a price that comes later, is read from the vendor's answers. */
import { type CelValue, toCel, toCelFields } from "./cel-values.ts";
import type { CompiledLookUp, CompiledPaging, CompiledReconcile } from "./compile-look-up.ts";
import type { Context } from "./expressions.ts";
import { fillTarget } from "./paths.ts";
import { readAnswer, settled } from "./price-call.ts";
import { type CompiledRule, isObject } from "./rule.ts";
import type { JsonObject, LookupFacts, LookupPlan, Quote, VendorAnswer } from "./vendor.ts";

type Reading = ReturnType<LookupPlan["read"]>;

/** Created at the vendor within this of our sends: clocks differ, and a send may take as long as the upstream timeout. */
const BEFORE_SECONDS = 300;
const AFTER_SECONDS = 900;

export function lookUpPlan(
  rule: CompiledRule,
  lookUp: CompiledLookUp,
  params: Record<string, string>,
  facts: LookupFacts,
  scopedHeaders: readonly string[],
): LookupPlan | null {
  const plan = lookUp.reconcile;
  if (!plan) return null;
  const first = Math.floor(facts.firstSentAt / 1000) - BEFORE_SECONDS;
  const last = Math.ceil(facts.lastSentAt / 1000) + AFTER_SECONDS;
  const target = fillTarget(plan.target, (name) => {
    if (name === "from") return String(first);
    if (name === "to") return String(last);
    if (name === "call") return facts.vendorKey;
    if (Object.hasOwn(params, name)) return params[name]!;
    return textField(facts.body, name);
  });
  const context: Context = {
    body: toCel(facts.body),
    path: params,
    query: {},
    found: {},
    call: { id: facts.callId, key: facts.vendorKey },
    first: BigInt(first),
    last: BigInt(last),
  };
  const headers: Record<string, string> = {};
  for (const name of scopedHeaders) if (facts.headers[name] !== undefined) headers[name] = facts.headers[name];
  const quote: Quote = {
    micros: facts.quoteMicros,
    currency: null,
    amountMinor: null,
    object: objectOf(rule, context),
    why: "",
  };
  const read =
    plan.kind === "read" ? readOne(rule, plan, quote, context) : readList(rule, plan, quote, context, facts, target);
  return { target, subdomain: rule.subdomain, headers, read };
}

function textField(body: JsonObject, name: string): string | null {
  const value = Object.hasOwn(body, name) ? body[name] : undefined;
  return typeof value === "string" || typeof value === "number" ? String(value) : null;
}

function objectOf(rule: CompiledRule, context: Context): string | null {
  const object = typeof rule.quote === "object" ? rule.quote?.object : null;
  if (!object) return null;
  try {
    const value = object.run(context);
    return typeof value === "string" && value !== "" ? value : null;
  } catch {
    return null;
  }
}

function readOne(
  rule: CompiledRule,
  plan: CompiledReconcile & { kind: "read" },
  quote: Quote,
  context: Context,
): LookupPlan["read"] {
  return (answer) =>
    guarded(() => {
      if (answer.status !== 200 || !isObject(answer.json)) return { kind: "unsure" };
      const seen: Context = { ...context, response: toCel(answer.json) };
      if (plan.happened.run(seen) === true)
        return { kind: "found", verdict: settled(rule, quote, context, readAnswer(rule, answer), 200) };
      return plan.absent.run(seen) === true ? { kind: "absent" } : { kind: "unsure" };
    });
}

function readList(
  rule: CompiledRule,
  plan: CompiledReconcile & { kind: "list" },
  quote: Quote,
  context: Context,
  facts: LookupFacts,
  firstTarget: string,
): LookupPlan["read"] {
  let pages = 0;
  let doubtful = false;
  return (answer) =>
    guarded(() => {
      if (answer.status !== 200 || !isObject(answer.json)) return { kind: "unsure" };
      pages += 1;
      const page: Context = { response: toCel(answer.json) };
      const items = plan.items.run(page);
      if (!Array.isArray(items)) return { kind: "unsure" };
      for (const item of items) {
        const seen = look(plan, item, context);
        if (seen === "perhaps") doubtful = true;
        if (seen !== "match") continue;
        if (plan.failed?.run({ ...context, item }) === true) return { kind: "found", verdict: { kind: "release" } };
        const verdict = settled(rule, quote, context, item, 200);
        if (verdict.kind === "settle" && verdict.objectId !== null && facts.taken(verdict.objectId)) continue;
        return { kind: "found", verdict };
      }
      const next = nextTarget(plan.paging, page, firstTarget);
      if (next === null) return { kind: doubtful ? "unsure" : "absent" };
      return next === "" || pages >= plan.maxPages ? { kind: "unsure" } : { kind: "next", target: next };
    });
}

function look(
  plan: CompiledReconcile & { kind: "list" },
  item: CelValue,
  context: Context,
): "match" | "perhaps" | "other" {
  const seen: Context = { ...context, item };
  try {
    if (plan.match.run(seen) === true) return "match";
    return plan.perhaps?.run(seen) === true ? "perhaps" : "other";
  } catch {
    // An item that cannot be read proves nothing either way.
    return "perhaps";
  }
}

/** @returns `null`: this was the last page; `""`: there are more and they cannot be asked for. */
function nextTarget(paging: CompiledPaging, page: Context, first: string): string | null {
  if ("target" in paging) {
    const value = paging.target.run(page);
    if (value === null || value === "") return null;
    const path = first.split("?")[0]!;
    return typeof value === "string" &&
      value.startsWith(`${path}?`) &&
      /^[\x21-\x7e]{1,2000}$/.test(value) &&
      !value.includes("#")
      ? value
      : "";
  }
  if (paging.more.run(page) !== true) return null;
  const value = paging.value.run(page);
  if (typeof value !== "string" || value === "") return "";
  return `${first}${first.includes("?") ? "&" : "?"}${paging.parameter}=${encodeURIComponent(value)}`;
}

function guarded(read: () => Reading): Reading {
  try {
    return read();
  } catch {
    return { kind: "unsure" };
  }
}

export function priceOf(price: NonNullable<CompiledLookUp["price"]>, answer: VendorAnswer): number | null {
  if (answer.status !== 200 || !isObject(answer.json)) return null;
  try {
    const page: Context = { response: toCelFields(answer.json, null) };
    if (price.known.run(page) !== true) return null;
    const micros = price.micros.run(page);
    return typeof micros === "bigint" && micros >= 0n && micros <= BigInt(Number.MAX_SAFE_INTEGER)
      ? Number(micros)
      : null;
  } catch {
    return null;
  }
}
