/** The vendor behind the proxy: Stripe simulated on loopback in a process of its own, or Stripe's own test mode. */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { amountCents, type Customer, customerName } from "./customers.ts";
import type { DemoOptions } from "./options.ts";

/** One PaymentIntent as the vendor's own books have it. */
export interface Intent {
  id: string;
  amount: number;
  currency: string;
  status: string;
  amountReceived: number;
  amountCapturable: number;
  customer: string | null;
  execution: string | null;
}

export interface DemoVendor {
  /** For people: where the calls really go. */
  title: string;
  /** The secret that only the proxy gets. */
  secret: string;
  /** Upstream for `KEYBRAKE_VENDORS`; `null`: the connector's own. */
  upstream: string | null;
  customers: Customer[];
  /** True when nobody else writes to these books: then every object in them must be the job's. */
  exclusive: boolean;
  /** Asks the vendor for its PaymentIntents since the demo began, all pages. */
  intents(): Promise<Intent[]>;
  stop(): Promise<void>;
}

export async function startVendor(options: DemoOptions, signal: AbortSignal): Promise<DemoVendor> {
  return options.stripeSecret === null
    ? startEmulate(options.tasks)
    : useStripe(options.tasks, options.stripeSecret, signal);
}

async function startEmulate(tasks: number): Promise<DemoVendor> {
  const customers = Array.from({ length: tasks }, (_, index) => ({
    id: `cus_demo${String(index).padStart(6, "0")}`,
    name: customerName(index),
    amount_cents: amountCents(index),
  }));
  const secret = `sk_test_${randomBytes(18).toString("hex")}`;
  const child = fork(new URL("emulate-process.ts", import.meta.url), [], {
    env: { NODE_ENV: "production" },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  try {
    child.send({ customers: customers.map(({ id, name }) => ({ id, name })) });
    const upstream = await firstMessage(child);
    return {
      title: "emulate 0.12.2, a simulated Stripe on loopback",
      secret,
      upstream,
      customers,
      exclusive: true,
      intents: () => listIntents(upstream, secret, 0),
      stop: () => stopChild(child),
    };
  } catch (error) {
    await stopChild(child);
    throw error;
  }
}

async function firstMessage(child: ChildProcess): Promise<string> {
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the simulated vendor ended with ${code} before it listened`);
  });
  const [message] = (await Promise.race([once(child, "message"), ended])) as [{ url: string }];
  ended.catch(() => {});
  return message.url;
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

const STRIPE = "https://api.stripe.com";
/** Test mode takes 25 requests a second; the proxy's calls need their part too. */
const PAUSE_MS = 100;

async function useStripe(tasks: number, secret: string, signal: AbortSignal): Promise<DemoVendor> {
  const since = Math.floor(Date.now() / 1000) - 60;
  const customers: Customer[] = [];
  for (let index = 0; index < tasks; index++) {
    const created = await ask(STRIPE, secret, "/v1/customers", new URLSearchParams({ name: customerName(index) }));
    customers.push({ id: String(created.id), name: customerName(index), amount_cents: amountCents(index) });
    await delay(PAUSE_MS, undefined, { signal });
  }
  return {
    title: "Stripe's test mode",
    secret,
    upstream: null,
    customers,
    exclusive: false,
    intents: () => listIntents(STRIPE, secret, since),
    stop: async () => {},
  };
}

async function listIntents(origin: string, secret: string, since: number): Promise<Intent[]> {
  const intents: Intent[] = [];
  let after: string | undefined;
  for (;;) {
    const query = new URLSearchParams({ limit: "100", "created[gte]": String(since) });
    if (after !== undefined) query.set("starting_after", after);
    const page = await ask(origin, secret, `/v1/payment_intents?${query}`);
    const data = page.data as Record<string, unknown>[];
    for (const item of data) intents.push(toIntent(item));
    if (page.has_more !== true || data.length === 0) return intents;
    after = intents.at(-1)!.id;
  }
}

function toIntent(item: Record<string, unknown>): Intent {
  const metadata = (item.metadata ?? {}) as Record<string, unknown>;
  return {
    id: String(item.id),
    amount: Number(item.amount),
    currency: String(item.currency),
    status: String(item.status),
    amountReceived: Number(item.amount_received ?? 0),
    amountCapturable: Number(item.amount_capturable ?? 0),
    customer: typeof item.customer === "string" ? item.customer : null,
    execution: typeof metadata.execution === "string" ? metadata.execution : null,
  };
}

async function ask(
  origin: string,
  secret: string,
  target: string,
  form?: URLSearchParams,
): Promise<Record<string, unknown>> {
  const response = await fetch(origin + target, {
    method: form ? "POST" : "GET",
    headers: { authorization: `Bearer ${secret}` },
    body: form ?? null,
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  if (!response.ok)
    throw new Error(`the vendor answered ${response.status} to ${target.split("?")[0]}: ${text.slice(0, 200)}`);
  return JSON.parse(text) as Record<string, unknown>;
}
