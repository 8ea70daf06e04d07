/**
 * Cloud Run Jobs on loopback, in the REST of its v2 (https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs,
 * read 2026-11): `jobs.run`, operations, `executions.get`, `list` and `cancel`. Executions really start the tasks' processes.
 *
 * What it cannot prove: IAM (it asks for no credential); what Google validates beyond the fields here; quotas and how soon a
 * task starts; which status an overload has; that `list` is ordered, and how soon it shows an execution that `run` has started
 * (here: at once); whether `Execution.job` is the short name (here) or the full one; which of several containers ends a task
 * (here: the first); the container's own limits of memory and network.
 */

import { applyOverrides, runJobRequest } from "./cloud-run-json.ts";
import { type ExecutionsOptions, Running } from "./executions.ts";
import { applyFields } from "./field-mask.ts";
import { googleError, type LocalAnswer, type LocalApi, type LocalRequest } from "./local-api.ts";
import type { LocalExecution, LocalJob, RunFault } from "./local-cloud.ts";

export interface LocalCloudRun {
  api: LocalApi;
  setJob(name: string, job: LocalJob): void;
  /** Newest first. */
  executions(): LocalExecution[];
  /** Rejects when there is no such execution. */
  ended(execution: string): Promise<LocalExecution>;
  failNextRuns(...faults: RunFault[]): void;
  /** As `executions.cancel` does; resolves when no process of it is left. */
  cancel(execution: string): Promise<void>;
  /** Cancels what runs. */
  close(): Promise<void>;
}

const MAX_PAGE = 100;
const route = /^\/v2\/(projects\/[^/]+\/locations\/[^/]+)\/(.+)$/;

export function localCloudRun(options: ExecutionsOptions): LocalCloudRun {
  const jobs = new Map<string, LocalJob>();
  /** Oldest first. */
  const started: Running[] = [];
  const faults: RunFault[] = [];
  const parent = `projects/${options.project}/locations/${options.location}`;
  const find = (name: string, job?: string): Running | undefined =>
    started.find((each) => each.name === name && (job === undefined || each.job === job));

  const run = (job: string, request: LocalRequest): LocalAnswer => {
    const spec = jobs.get(job);
    if (!spec)
      return googleError(404, `Resource '${job}' of kind 'JOB' in region '${options.location}' does not exist.`);
    const body = runJobRequest.safeParse(request.body ?? {});
    if (!body.success) return googleError(400, `Invalid JSON payload received. ${issueOf(body.error.issues)}`);
    const overridden = applyOverrides(spec, body.data.overrides ?? {});
    if (typeof overridden === "string") return googleError(400, overridden);
    const fault = faults.shift();
    if (fault && "answer" in fault) return googleError(fault.answer, "a fault, as asked");
    const execution = new Running(job, overridden, options);
    started.push(execution);
    if (fault?.startThen === "reset") return { reset: true };
    if (fault) return googleError(fault.startThen, "a fault, as asked");
    return { status: 200, json: execution.operationJson(parent) };
  };

  const api: LocalApi = async (request) => {
    const answer = answerTo(request);
    if (answer === null || !("json" in answer) || answer.status !== 200) return answer;
    const masked = applyFields(answer.json, request.query.get("fields") ?? request.query.get("$fields"));
    return masked ? { ...answer, json: masked.json } : googleError(400, "Request contains an invalid field mask.");
  };
  const answerTo = (request: LocalRequest): LocalAnswer | null => {
    const [, place, rest] = route.exec(request.path) ?? [];
    if (rest === undefined) return null;
    if (place !== parent) return googleError(404, `nothing of ${place} is here`);
    const [, job = "", verb = ""] = /^jobs\/([a-z0-9-]+)(:run|\/executions)$/.exec(rest) ?? [];
    if (verb === ":run" && request.method === "POST") return run(job, request);
    if (verb === "/executions" && request.method === "GET") return list(started, job, parent, request.query);
    const [, of = "", name = "", act = ""] =
      /^jobs\/([a-z0-9-]+)\/executions\/([a-z0-9-]+)(:cancel)?$/.exec(rest) ?? [];
    if (name !== "" && (act === ":cancel" ? "POST" : "GET") === request.method) {
      const execution = find(name, of);
      if (!execution) return googleError(404, `Resource '${name}' of kind 'EXECUTION' does not exist.`);
      if (act === "") return { status: 200, json: execution.json(parent) };
      execution.cancellation.abort();
      return { status: 200, json: execution.operationJson(parent) };
    }
    const operation = /^operations\/([0-9a-f-]+)$/.exec(rest)?.[1];
    if (operation !== undefined && request.method === "GET") {
      const execution = started.find((each) => each.operation === operation);
      return execution
        ? { status: 200, json: execution.operationJson(parent) }
        : googleError(404, "Operation not found.");
    }
    return null;
  };

  const cancel = async (execution: Running): Promise<void> => {
    execution.cancellation.abort();
    await execution.ended;
  };
  return {
    api,
    setJob: (name, job) => void jobs.set(name, job),
    executions: () => started.map((each) => each.snapshot()).reverse(),
    ended: async (name) => {
      const execution = find(name);
      if (!execution) throw new Error(`there is no execution ${name}`);
      await execution.ended;
      return execution.snapshot();
    },
    failNextRuns: (...more) => void faults.push(...more),
    cancel: async (name) => {
      const execution = find(name);
      if (!execution) throw new Error(`there is no execution ${name}`);
      await cancel(execution);
    },
    close: async () => {
      await Promise.all(started.map(cancel));
    },
  };
}

/** Newest first; the token is the name of the last one given. */
function list(started: readonly Running[], job: string, parent: string, query: URLSearchParams): LocalAnswer {
  const pageSize = Number(query.get("pageSize") ?? 0);
  if (!Number.isInteger(pageSize) || pageSize < 0) return googleError(400, "page_size must not be negative");
  const size = Math.min(pageSize || MAX_PAGE, MAX_PAGE);
  const ofJob = started.filter((each) => job === "-" || each.job === job).reverse();
  const token = query.get("pageToken");
  const from = token ? ofJob.findIndex((each) => each.uid === token) + 1 : 0;
  if (token && from === 0) return googleError(400, "page_token is not one of this list");
  const page = ofJob.slice(from, from + size);
  const more = from + size < ofJob.length;
  return {
    status: 200,
    json: {
      ...(page.length > 0 && { executions: page.map((each) => each.json(parent)) }),
      ...(more && { nextPageToken: page.at(-1)!.uid }),
    },
  };
}

function issueOf(issues: readonly { path: PropertyKey[]; message: string }[]): string {
  const [issue] = issues;
  return `${issue?.path.map(String).join(".") ?? ""}: ${issue?.message ?? ""}`;
}
