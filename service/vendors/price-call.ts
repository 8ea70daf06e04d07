/** Quote before sending, verdict after: a rule's expressions turned into micro-USD. Never 0 by accident. */
import { Refusal } from "../errors.ts";
import { formatUsd, MAX_USD, MICROS_PER_USD } from "../money.ts";
import { type CelValue, toCelFields } from "./cel-values.ts";
import type { Context, Expression } from "./expressions.ts";
import { amountOf } from "./money-functions.ts";
import { type CompiledCost, type CompiledOutcome, type CompiledRule, isObject } from "./rule.ts";
import type { Quote, VendorAnswer, Verdict } from "./vendor.ts";

const MAX_MICROS = BigInt(MAX_USD) * BigInt(MICROS_PER_USD);

function microsOf(value: CelValue): number {
  if (typeof value !== "bigint") throw new Refusal("endpoint_unpriced", "the price is not a whole number");
  if (value < 0n) throw new Refusal("endpoint_unpriced", "the price is negative");
  if (value > MAX_MICROS) throw new Refusal("endpoint_unpriced", `the price is over ${MAX_USD} dollars`);
  return Number(value);
}

function currencyOf(expression: Expression | null, context: Context): string | null {
  if (!expression) return null;
  const value = expression.run(context);
  if (typeof value !== "string" || !/^[A-Za-z]{3}$/.test(value)) {
    throw new Refusal("currency_not_allowed", "the currency must be three letters");
  }
  return value.toLowerCase();
}

function minorOf(expression: Expression | null, context: Context): number | null {
  if (!expression) return null;
  const value = expression.run(context);
  if (typeof value !== "bigint" && typeof value !== "string")
    throw new Refusal("request_invalid", "the amount is not a whole number");
  return Number(amountOf(value));
}

const ID = /^[\x21-\x7e]{1,200}$/;

function idOf(expression: Expression | null, context: Context): string | null {
  if (!expression) return null;
  const value = expression.run(context);
  return typeof value === "string" && ID.test(value) ? value : null;
}

export const FREE_QUOTE: Quote = { micros: 0, currency: null, amountMinor: null, object: null, why: "free" };

export function quoteOf(rule: CompiledRule, context: Context, assumeMicros: number | null): Quote {
  const { quote } = rule;
  if (quote === null) return FREE_QUOTE;
  if (typeof quote === "string") {
    if (assumeMicros === null)
      throw new Refusal(
        "endpoint_unpriced",
        `no upper bound can be told: ${quote}; a key with \`assume_usd\` may call it`,
      );
    return { ...FREE_QUOTE, micros: assumeMicros, why: `assumed: ${quote}` };
  }
  const micros = microsOf(quote.micros.run(context));
  const currency = currencyOf(quote.currency, context);
  const amountMinor = minorOf(quote.amount, context);
  const amount = amountMinor === null ? "" : `${amountMinor}${currency === null ? "" : ` ${currency}`} = `;
  return {
    micros,
    currency,
    amountMinor,
    object: idOf(quote.object, context),
    why: `${quote.why}: ${amount}$${formatUsd(micros)}`,
  };
}

/** The quote as expressions see it. */
export function quoteContext(quote: Pick<Quote, "micros" | "amountMinor" | "currency" | "object">): CelValue {
  return {
    micros: BigInt(quote.micros),
    amount: BigInt(quote.amountMinor ?? 0),
    currency: quote.currency ?? "",
    object: quote.object ?? "",
  };
}

const RELEASED = new Set([400, 402, 403, 404, 415, 422, 429]);

/** The class of an answer that is not 2xx: an override of the connector first, then the ledger's table. */
function failure(answer: VendorAnswer, overrides: readonly CompiledOutcome[]): Verdict {
  if (answer.status === 401) return { kind: "credential" };
  for (const override of overrides)
    if (override.status === answer.status && applies(override, answer)) return { kind: override.outcome };
  return { kind: RELEASED.has(answer.status) ? "release" : "unknown" };
}

function applies(override: CompiledOutcome, answer: VendorAnswer): boolean {
  if (!override.when) return true;
  // An answer that cannot be read may be the one that the override is about: only the careful direction is taken.
  if (!isObject(answer.json)) return override.outcome === "unknown";
  try {
    const response = toCelFields(answer.json, override.when.fields("response"));
    return override.when.run({ response, status: BigInt(answer.status) }) === true;
  } catch {
    return false;
  }
}

/** A call that took effect. `response` is what the expressions may read of the answer; `null`: it cannot be read. */
export function settled(
  rule: CompiledRule,
  quote: Quote,
  context: Context,
  response: CelValue | null,
  status: number,
): Verdict {
  const atQuote: Verdict = {
    kind: "settle",
    micros: quote.micros,
    pricePending: false,
    currency: quote.currency,
    amountMinor: quote.amountMinor,
    objectId: quote.object,
    object: quote.object,
  };
  if (!rule.cost || response === null) return atQuote;
  try {
    return fromAnswer(
      rule.cost,
      quote,
      { ...context, quote: quoteContext(quote), response, status: BigInt(status) },
      atQuote,
    );
  } catch {
    // Whatever the answer lacks, the call took effect: the quote is its upper bound.
    return atQuote;
  }
}

/** What the cost's expressions read of an answer; `null` when it cannot be read. */
export function readAnswer(rule: CompiledRule, answer: VendorAnswer): CelValue | null {
  if (!isObject(answer.json)) return null;
  try {
    return toCelFields(answer.json, rule.reads.response);
  } catch {
    return null;
  }
}

function fromAnswer(
  cost: CompiledCost,
  quote: Quote,
  context: Context,
  atQuote: Verdict & { kind: "settle" },
): Verdict {
  const object = cost.object ? idOf(cost.object, context) : quote.object;
  const verdict = { ...atQuote, object, objectId: idOf(cost.id, context) ?? object };
  try {
    return {
      ...verdict,
      micros: microsOf(cost.micros.run(context)),
      pricePending: cost.pending ? cost.pending.run(context) === true : false,
      currency: currencyOf(cost.currency, context) ?? quote.currency,
      amountMinor: minorOf(cost.amount, context) ?? quote.amountMinor,
    };
  } catch {
    return verdict;
  }
}

export function verdictOf(
  rule: CompiledRule,
  overrides: readonly CompiledOutcome[],
  quote: Quote,
  context: () => Context,
  answer: VendorAnswer,
): Verdict {
  if (answer.status >= 200 && answer.status < 300) {
    return settled(rule, quote, rule.cost ? context() : {}, rule.cost ? readAnswer(rule, answer) : null, answer.status);
  }
  const verdict = failure(answer, overrides);
  // A free read changes nothing at the vendor: there is nothing to be unsure of.
  return verdict.kind === "unknown" && rule.kind === "free" && rule.method === "GET" ? { kind: "release" } : verdict;
}
