/** Issue: get-or-create by (owner, label), atomic because the key's id is made of both. */
import { Refusal } from "../errors.ts";
import { type CommitResult, StoreUnavailable, type Version } from "../stores/store.ts";
import { windowOf } from "./balance.ts";
import { GENESIS, link } from "./chain.ts";
import { aliasRecords } from "./execution-alias.ts";
import type { QueueDeps } from "./key-queue.ts";
import type { IssueRequest } from "./ledger.ts";
import { countKey } from "./policy-day.ts";
import type { ChainPage, KeyState } from "./types.ts";

/** Others that issue under the same policy may come first so often. */
const MAX_TRIES = 100;
const MAX_BACKOFF_MS = 64;

interface Issued {
  created: boolean;
  key: KeyState;
  /** What a queue may go on from; `null` when the store did not say. */
  version: Version | null;
}

export async function issueKey(deps: QueueDeps, keyId: string, request: IssueRequest): Promise<Issued> {
  const { state, page } = firstCommit(deps, keyId, request);
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    if (tries > 0) await deps.clock.delay(Math.ceil(deps.random.float() * Math.min(MAX_BACKOFF_MS, 2 ** (tries + 1))));
    const records = await aliasRecords(deps, state);
    const counted = request.day ? await countKey(deps.store, request.day, state) : null;
    if (counted instanceof Refusal) {
      // The sum may be reached by this very key: read after the sum, it is there.
      const there = await existingKey(deps, keyId, request, state.salt);
      if (there) return there;
      throw counted;
    }
    if (counted) records.push(counted);
    const result: CommitResult = await deps.store.commit(keyId, { version: null, state, page, writes: [], records });
    if (result.kind === "committed") return { created: true, key: state, version: result.version };
    const there = await existingKey(deps, keyId, request, state.salt);
    if (there) return there;
  }
  throw new StoreUnavailable(`key ${keyId} could not be written in ${MAX_TRIES} tries`);
}

/**
 * @param salt That of an issue whose answer was lost: of this very issue, and the same when others have used the key since.
 * @returns `null` when there is no such key. Throws `label_retired`, `label_conflict`.
 */
export async function existingKey(
  deps: QueueDeps,
  keyId: string,
  request: IssueRequest,
  salt: string | null = null,
): Promise<Issued | null> {
  const snapshot = await deps.store.read(keyId, []);
  if (!snapshot) return null;
  const { state, version } = snapshot;
  if (state.salt === salt) return { created: true, key: state, version };
  return { created: false, key: sameOrThrow(deps, state, request), version };
}

function firstCommit(deps: QueueDeps, keyId: string, request: IssueRequest): { state: KeyState; page: ChainPage } {
  const fresh = newKey(deps, keyId, request);
  const record = link(GENESIS, {
    n: 0,
    at: fresh.createdAt,
    act: "issue",
    callId: null,
    reservedMicros: 0,
    spentMicros: 0,
    capMicros: request.capMicros,
    by: request.by,
    reason: null,
  });
  const state: KeyState = { ...fresh, chainHead: record.hash, chainLength: 1 };
  return { state, page: { keyId, first: 0, token: state.token, records: [record] } };
}

function sameOrThrow(deps: QueueDeps, key: KeyState, request: IssueRequest): KeyState {
  if (key.status === "revoked" || deps.clock.now() >= key.expiresAt) {
    throw new Refusal(
      "label_retired",
      `the key of label "${request.label}" was revoked or has expired; use another label`,
    );
  }
  if (key.asked !== request.asked) {
    throw new Refusal(
      "label_conflict",
      `label "${request.label}" has a key with another budget; ask for the same one, or use another label`,
      {
        details: { key_id: key.keyId },
      },
    );
  }
  return key;
}

function newKey(deps: QueueDeps, keyId: string, request: IssueRequest): KeyState {
  const now = deps.clock.now();
  const { owner, label, execution, asked, scope, pepperVersion, capMicros, dailyCapMicros, expiresAt, reduced } =
    request;
  return {
    keyId,
    owner,
    label,
    execution,
    asked,
    scope,
    ...(reduced !== undefined && reduced.length > 0 && { reduced }),
    pepperVersion,
    capMicros,
    spentMicros: 0,
    reservedMicros: 0,
    dailyCapMicros,
    windowId: windowOf(now),
    windowSpentMicros: 0,
    status: "active",
    reason: null,
    createdAt: now,
    expiresAt,
    salt: deps.random.bytes(32).toString("hex"),
    counts: { calls: 0, reserved: 0, settled: 0, released: 0, unknown: 0 },
    minuteId: 0,
    minuteCalls: 0,
    refusals: {},
    refusalRows: 0,
    chainHead: GENESIS,
    chainLength: 0,
    sequence: 1,
    token: deps.random.bytes(12).toString("base64url"),
    updatedAt: now,
  };
}
