import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import { labelText } from "../../audit/audit-filter.ts";
import { Refusal } from "../../errors.ts";
import type { LaunchRequest } from "../../setup/setup.ts";
import { capUsd } from "../dollars.ts";
import { noQuery } from "../read-input.ts";
import { renderKey } from "../render.ts";
import { route } from "../route.ts";
import { launchedShape } from "../schemas.ts";

/** Get-or-create of a run: the same scheduled time, or the same label, starts one execution with one key. */
export const launch = route({
  operationId: "launchExecution",
  method: "post",
  path: "/jobs/{job}/executions",
  summary: "Start an execution of a Cloud Run job with a vault key of its own, or get the one that was started.",
  may: "launch",
  query: noQuery,
  body: z.strictObject({
    label: labelText.optional().meta({ description: "Tells this run from another; not with Scheduler's headers." }),
    usd_cap: capUsd.optional().meta({ description: "Less than the policy's cap." }),
  }),
  bodyOptional: true,
  answers: {
    200: { description: "The run was started before, or another run of the job has the turn.", schema: launchedShape },
    201: { description: "The execution was started.", schema: launchedShape },
  },
  codes: ["not_found", "label_conflict", "label_retired", "launch_pending", "launch_refused"],
  async handle({ principal, params, body, headers }, { setup, clock }) {
    if (!setup) throw new Refusal("not_found", "this proxy has no policies, so it knows no jobs");
    const scheduled = scheduledBy(headers);
    if (scheduled && body.label !== undefined) {
      throw new Refusal("request_invalid", "a request of Cloud Scheduler is named by its time; leave `label` out");
    }
    const launched = await setup.launch({
      principal,
      job: params.job!,
      scheduled,
      label: body.label ?? null,
      capMicros: body.usd_cap ?? null,
    });
    const { runId, state, repeated, execution, key } = launched;
    return {
      status: repeated || state === "skipped" ? 200 : 201,
      json: {
        run_id: runId,
        state,
        execution,
        key_id: key?.keyId ?? null,
        label: key?.label ?? null,
        key: key && renderKey(key, clock.now()),
      },
    };
  },
});

/** Longest header that is taken for a name or a time. */
const MAX_HEADER = 500;

/** Headers prove nothing: whoever may launch may send them, and they only say which run is meant. */
function scheduledBy(headers: IncomingHttpHeaders): LaunchRequest["scheduled"] {
  const by = one(headers, "x-cloudscheduler-jobname");
  const time = one(headers, "x-cloudscheduler-scheduletime");
  return by === null && time === null ? null : { by, time };
}

function one(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name];
  if (value === undefined || value === "") return null;
  if (typeof value === "string" && value.length <= MAX_HEADER) return value;
  throw new Refusal("request_invalid", `the header ${name} is too long; send it as Cloud Scheduler does`);
}
