/** The bill of a run: calls added up by task, vendor, endpoint or execution. */
import { Refusal } from "../errors.ts";
import type { Call } from "../ledger/types.ts";

export const groupings = ["task", "vendor", "endpoint", "execution"] as const;
export type Grouping = (typeof groupings)[number];

/** Groups kept in memory for one answer: twice the tasks that a Cloud Run execution may have. */
const MAX_GROUPS = 20_000;

export interface Group {
  key: string | null;
  /** Calls that were not refused. */
  calls: number;
  settled: number;
  released: number;
  unknown: number;
  refused: number;
  spentMicros: number;
  reservedMicros: number;
}

const keyOf: Record<Grouping, (call: Call) => string | null> = {
  task: (call) => (call.task === null ? null : String(call.task)),
  // A call may be refused before its vendor or endpoint is known.
  vendor: (call) => call.vendor || null,
  endpoint: (call) => (call.endpoint === "" ? null : `${call.vendor}:${call.endpoint}`),
  execution: (call) => call.execution,
};

export class Summary {
  readonly #groups = new Map<string | null, Group>();
  readonly #keyOf: (call: Call) => string | null;

  constructor(grouping: Grouping) {
    this.#keyOf = keyOf[grouping];
  }

  add(call: Call): void {
    const key = this.#keyOf(call);
    let group = this.#groups.get(key);
    if (!group) {
      if (this.#groups.size >= MAX_GROUPS) {
        throw new Refusal(
          "request_invalid",
          `there are more than ${MAX_GROUPS} groups; narrow them by label, since or until`,
        );
      }
      group = { key, calls: 0, settled: 0, released: 0, unknown: 0, refused: 0, spentMicros: 0, reservedMicros: 0 };
      this.#groups.set(key, group);
    }
    if (call.state === "refused") {
      group.refused += 1;
      return;
    }
    group.calls += 1;
    if (call.state !== "reserved") group[call.state] += 1;
    group.spentMicros += call.costMicros;
    group.reservedMicros += call.reservedMicros;
  }

  /** In the order of their keys, numbers as numbers; what has no key comes last. */
  groups(): Group[] {
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    return [...this.#groups.values()].sort((a, b) =>
      a.key === null ? 1 : b.key === null ? -1 : compare(a.key, b.key),
    );
  }
}
