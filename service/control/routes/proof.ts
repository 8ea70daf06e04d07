import { noProof, type ProofEnd, walkProof } from "../../audit/proof.ts";
import { isPast } from "../../audit/retention.ts";
import type { ChainRecord, KeyState } from "../../ledger/types.ts";
import { money, moneyOrNull } from "../dollars.ts";
import { findKey } from "../find.ts";
import { noBody, noQuery } from "../read-input.ts";
import { renderRecord } from "../render.ts";
import { type ControlDeps, route } from "../route.ts";
import { proofEndShape, proofShape, recordShape } from "../schemas.ts";
import { streamAnswer } from "../stream-answer.ts";

/** As JSON one object; as NDJSON one record a line, and the balance as the last line. */
export const proof = route({
  operationId: "prove",
  method: "get",
  path: "/vault/keys/{key_id}/proof",
  summary: "The records that add up to the key's balance, with the hash chain's head.",
  may: "read",
  query: noQuery,
  body: noBody,
  answers: {
    200: {
      description: "Every record up to one head, and whether they prove the balance.",
      schema: proofShape,
      also: { "application/x-ndjson": recordShape.or(proofEndShape) },
    },
  },
  codes: ["not_found"],
  async handle({ principal, params, accept }, deps) {
    const key = await findKey(deps, principal, params.key_id);
    const chunks = accept === "application/json" ? asJson : asNdjson;
    return {
      stream: (response) =>
        deps.gate.run(() => streamAnswer(response, { "content-type": accept }, chunks(key, walk(key, deps)))),
    };
  },
});

/** A chain that does not verify is the worst news that this service can have: it is logged as well as answered. */
async function* walk(key: KeyState, deps: ControlDeps): AsyncGenerator<ChainRecord[], ProofEnd> {
  const { store, log, clock, retentionMs } = deps;
  if (isPast(key, { retentionMs, now: clock.now() })) return noProof(key);
  const end = yield* walkProof(store, key);
  if (!end.verified) log.error({ keyId: key.keyId, fault: end.fault }, "hash chain does not verify");
  return end;
}

async function* asJson(key: KeyState, records: AsyncGenerator<ChainRecord[], ProofEnd>): AsyncGenerator<string> {
  yield '{"calls":[';
  let separator = "";
  let step = await records.next();
  for (; !step.done; step = await records.next()) {
    yield separator + step.value.map((record) => JSON.stringify(renderRecord(record))).join(",");
    separator = ",";
  }
  yield `],${JSON.stringify(renderEnd(key, step.value)).slice(1)}\n`;
}

async function* asNdjson(key: KeyState, records: AsyncGenerator<ChainRecord[], ProofEnd>): AsyncGenerator<string> {
  let step = await records.next();
  for (; !step.done; step = await records.next()) {
    yield step.value.map((record) => `${JSON.stringify(renderRecord(record))}\n`).join("");
  }
  yield `${JSON.stringify(renderEnd(key, step.value))}\n`;
}

function renderEnd(key: KeyState, end: ProofEnd) {
  return {
    key_id: key.keyId,
    label: key.label,
    records: end.records,
    balance: {
      ...moneyOrNull("cap", end.capMicros),
      ...money("spent", end.spentMicros),
      ...money("reserved", end.reservedMicros),
    },
    chain_head: end.chainHead,
    verified: end.verified,
    fault: end.fault,
    retention_passed: end.retentionPassed,
  };
}
