/** How the truth about an UNKNOWN call is read from the vendor: a rule's `reconcile` and `price`, compiled. */
import type { Connector, Reconcile, Rule } from "./connector.ts";
import { type CelValue, type Compile, type Context, type Expression, toCel, toCelFields } from "./expressions.ts";
import { fillTarget } from "./paths.ts";
import { readAnswer, settled } from "./price-call.ts";
import { type CompiledRule, isObject } from "./rule.ts";
import type { JsonObject, LookupFacts, LookupPlan, Quote, VendorAnswer } from "./vendor.ts";

type Reading = ReturnType<LookupPlan["read"]>;

type CompiledPaging = { more: Expression; parameter: string; value: Expression } | { target: Expression };

type CompiledReconcile =
  | {
      kind: "list";
      target: string;
      items: Expression;
      match: Expression;
      perhaps: Expression | null;
      paging: CompiledPaging;
      maxPages: number;
    }
  | { kind: "read"; target: string; happened: Expression; absent: Expression };

export interface CompiledLookUp {
  reconcile: CompiledReconcile | null;
  price: { target: string; known: Expression; micros: Expression } | null;
}

export function compileLookUp(rule: Rule, connector: Connector, compile: Compile): CompiledLookUp {
  const at = (name: string) => `${connector.id}: \`${rule.endpoint}\`.${name}`;
  const { price } = rule;
  return {
    reconcile: rule.reconcile ? compileReconcile(rule.reconcile, compile, at) : null,
    price: price
      ? {
          target: price.target,
          known: compile("page", price.known, "bool", at("price.known")),
          micros: compile("page", price.micros, "int", at("price.micros")),
        }
      : null,
  };
}

function compileReconcile(plan: Reconcile, compile: Compile, at: (name: string) => string): CompiledReconcile {
  if (plan.kind === "read") {
    return {
      kind: "read",
      target: plan.target,
      happened: compile("readback", plan.happened, "bool", at("reconcile.happened")),
      absent: compile("readback", plan.absent, "bool", at("reconcile.absent")),
    };
  }
  const { paging } = plan;
  return {
    kind: "list",
    target: plan.target,
    items: compile("page", plan.items, "list", at("reconcile.items")),
    match: compile("item", plan.match, "bool", at("reconcile.match")),
    perhaps: plan.perhaps === undefined ? null : compile("item", plan.perhaps, "bool", at("reconcile.perhaps")),
    paging:
      "target" in paging
        ? { target: compile("page", paging.target, "string", at("reconcile.paging.target")) }
        : {
            more: compile("page", paging.more, "bool", at("reconcile.paging.more")),
            parameter: paging.parameter,
            value: compile("page", paging.value, "string", at("reconcile.paging.value")),
          },
    maxPages: plan.maxPages,
  };
}

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
    if (name === "call") return facts.callId;
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
