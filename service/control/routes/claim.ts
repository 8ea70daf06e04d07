import { Refusal } from "../../errors.ts";
import { noBody, noQuery } from "../read-input.ts";
import { route } from "../route.ts";
import { claimedShape } from "../schemas.ts";

/** All tasks and attempts of an execution get the same key and the same variables. */
export const claim = route({
  operationId: "claimKey",
  method: "post",
  path: "/jobs/{job}/executions/{execution}/claim",
  summary: "Get the one vault key of a running Cloud Run execution, and the variables that its tasks need.",
  may: "claim",
  query: noQuery,
  body: noBody,
  bodyOptional: true,
  answers: {
    200: { description: "The execution has this key already.", schema: claimedShape },
    201: { description: "The key was made.", schema: claimedShape },
  },
  codes: ["not_found", "label_retired", "launch_pending"],
  async handle({ principal, params }, { setup, vaultKeys }) {
    if (!setup) throw new Refusal("not_found", "this proxy has no policies, so it knows no jobs");
    const { created, key, runId, variables } = await setup.claim({
      principal,
      job: params.job!,
      execution: params.execution!,
    });
    return {
      status: created ? 201 : 200,
      json: {
        key_id: key.keyId,
        vault_key: vaultKeys.text(key.keyId, key.pepperVersion),
        run_id: runId,
        variables,
      },
    };
  },
});
