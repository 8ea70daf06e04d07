/**
 * Policies as they hold now: read at each use, never cached, checked on each read. A policy that is wrong lets nobody do anything,
 * and one line in the log says what is wrong with it.
 */
import type { Clock } from "../clock.ts";
import type { BudgetVendor } from "../control/route.ts";
import { Refusal } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { PolicyDocs, RecordDoc } from "../stores/store.ts";
import { type Policy, policyIdText } from "./policy.ts";
import { readPolicy } from "./policy-rules.ts";

export interface PoliciesOptions {
  docs: PolicyDocs;
  vendors: ReadonlyMap<string, BudgetVendor>;
  clock: Pick<Clock, "now">;
  log: Logger;
}

/** One line about one fault in this time, ms: a caller that tries again and again must not fill the log. */
const LOG_EVERY_MS = 60_000;
/** Faults remembered for that. */
const MAX_REMEMBERED = 200;

export class Policies {
  readonly #options: PoliciesOptions;
  readonly #said = new Map<string, number>();

  constructor(options: PoliciesOptions) {
    this.#options = options;
  }

  /** @returns `null` when there is none of this id. Throws `policy_denied` when it is wrong, `StoreUnavailable`. */
  async byId(id: string): Promise<Policy | null> {
    if (!policyIdText.safeParse(id).success) return null;
    const doc = await this.#options.docs.byId(id);
    return doc && this.#check(id, doc);
  }

  /**
   * The policy that lists this caller. @returns `null` when none does. Throws `policy_denied` when it is wrong, or when two do: then
   * it could not be told whose keys the caller's are; `StoreUnavailable`.
   */
  async ofCaller(email: string, sub: string): Promise<Policy | null> {
    const { docs } = this.#options;
    const found = new Map<string, RecordDoc>();
    const lists = await Promise.all([docs.byPrincipal(email), docs.byPrincipal(sub)]);
    for (const { id, doc } of lists.flat()) found.set(id, doc);
    const [first, ...others] = [...found.keys()].sort();
    if (first === undefined) return null;
    if (others.length > 0) {
      const ids = [first, ...others];
      this.#say(`two ${email}`, { principal: email, policies: ids }, "a principal is in two policies: it is refused");
      throw new Refusal("policy_denied", `${email} is in two policies, ${ids.join(" and ")}; take it out of one`);
    }
    return this.#check(first, found.get(first)!);
  }

  #check(id: string, doc: RecordDoc): Policy {
    const read = readPolicy(id, doc, this.#options.vendors);
    if ("policy" in read) return read.policy;
    const { fault } = read;
    this.#say(`${id} ${fault}`, { policy: id, fault }, `policy ${id} is wrong, so nobody may act under it: ${fault}`);
    throw new Refusal("policy_denied", `policy \`${id.slice(0, 100)}\` is wrong; the proxy's log says where`);
  }

  #say(what: string, fields: Record<string, unknown>, sentence: string): void {
    const { clock, log } = this.#options;
    const now = clock.now();
    const last = this.#said.get(what);
    if (last !== undefined && now - last < LOG_EVERY_MS) return;
    this.#said.delete(what);
    if (this.#said.size >= MAX_REMEMBERED) {
      const [oldest] = this.#said.keys();
      this.#said.delete(oldest!);
    }
    this.#said.set(what, now);
    log.error(fields, sentence);
  }
}
