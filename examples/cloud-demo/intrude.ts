/** A second job's account asks for the key of the first job's execution: in its own name, as another job's, and by `keybrake exec`. */
import { readFileSync } from "node:fs";
import type { LocalCloud } from "../local-cloud/local-cloud.ts";
import { INTRUDED, intrudingJob } from "./job-template.ts";
import { AUDIENCE, JOB, LOCATION, OTHER_ACCOUNT, OTHER_JOB, PROJECT } from "./place.ts";

export interface Intrusion {
  /** What was tried. */
  attempt: string;
  /** `403 policy_denied`, or the end of the task. */
  outcome: string;
  refused: boolean;
}

/** @param logFile has the tasks' output. */
export async function intrude(
  cloud: LocalCloud,
  proxyUrl: string,
  execution: string,
  logFile: string,
): Promise<Intrusion[]> {
  const tried: Intrusion[] = [];
  for (const job of [JOB, OTHER_JOB]) {
    const response = await fetch(`${proxyUrl}/jobs/${job}/executions/${execution}/claim`, {
      method: "POST",
      headers: { authorization: `Bearer ${cloud.idToken(OTHER_ACCOUNT, AUDIENCE)}` },
      signal: AbortSignal.timeout(30_000),
    });
    const { code, vault_key } = (await response.json()) as { code?: string; vault_key?: string };
    tried.push({
      attempt: `claim of ${job}/${execution} by ${OTHER_JOB}`,
      outcome: `${response.status} ${code ?? "with a key"}`,
      refused: (response.status === 403 || response.status === 404) && vault_key === undefined,
    });
  }
  tried.push(await throughExec(cloud, proxyUrl, execution, logFile));
  return tried;
}

async function throughExec(
  cloud: LocalCloud,
  proxyUrl: string,
  execution: string,
  logFile: string,
): Promise<Intrusion> {
  cloud.setJob(OTHER_JOB, intrudingJob(proxyUrl, execution));
  const path = `/v2/projects/${PROJECT}/locations/${LOCATION}/jobs/${OTHER_JOB}:run`;
  const response = await fetch(cloud.url + path, { method: "POST", body: "{}" });
  const { metadata } = (await response.json()) as { metadata: { name: string } };
  const { failed } = await cloud.ended(metadata.name.split("/").at(-1)!);
  const log = readFileSync(logFile, "utf8");
  const refusal = /the proxy refused the claim: .*/.exec(log)?.[0];
  return {
    attempt: `keybrake exec in ${OTHER_JOB} under the name of ${execution}`,
    outcome: log.includes(INTRUDED) ? "its command ran" : (refusal ?? "it failed for another reason"),
    refused: failed.length === 1 && refusal !== undefined && !log.includes(INTRUDED),
  };
}
