/**
 * Cloud Run Jobs over Google's REST API, version 2. The client is `@googleapis/run`: beside the proxy's other Google libraries it adds
 * 0.10 MB to the bundle and 25 ms to its first use; `@google-cloud/run` adds 1.16 MB and 115 ms (Node 24, two cores, 2026-11).
 */
import type { run_v2 } from "@googleapis/run";
import type { GoogleAuth } from "google-auth-library";
import {
  type CloudRun,
  CloudRunUnavailable,
  type ContainerOverride,
  type Execution,
  type JobName,
  type RunResult,
} from "../setup/cloud-run.ts";
import { within } from "./deadline.ts";
import { googleAuth } from "./google-client.ts";
import { failureOf } from "./google-failure.ts";

/** Each call of Cloud Run ends within this, ms. */
export const CALL_MS = 10_000;

const PAGE_SIZE = 100;
/** Beyond it a listing is refused, not cut: what is not in it would be taken for not started. */
const MAX_PAGES = 50;
/** What the setup task reads of an execution: a template may be long. */
const EXECUTION_FIELDS = "name,job,createTime,completionTime,template(serviceAccount,containers(env(name,value)))";

/** The variable by which a run finds its execution again. */
const RUN_ID = "KEYBRAKE_RUN_ID";

export interface CloudRunApiOptions {
  /** Origin on loopback that stands in for Google's APIs, and is sent no credential; `null`: Google's own. */
  googleApis: string | null;
  /** Each call ends within this, ms; default {@link CALL_MS}. */
  callMs?: number;
}

type CallOptions = { retry: false; redirect: "error"; timeout: number; signal: AbortSignal };
type Api = { run: run_v2.Run; auth: GoogleAuth };

/** Asks Cloud Run. The client library is loaded, and a credential looked for, at the first call. */
export function cloudRunApi({ googleApis, callMs = CALL_MS }: CloudRunApiOptions): CloudRun {
  let opened: Promise<Api> | null = null;
  const api = async (): Promise<Api> => {
    opened ??= openApi(googleApis);
    try {
      return await opened;
    } catch (error) {
      opened = null;
      throw error;
    }
  };
  /** With a credential in hand a failure is Cloud Run's, and a request that is late is never sent at all. */
  const ready = (): Promise<Api> =>
    within(callMs, async () => {
      const loaded = await api();
      await loaded.auth.getAccessToken();
      return loaded;
    });
  // A retried POST would be a second execution. A GET is repeated by whoever asked.
  const options = (): CallOptions => ({
    retry: false,
    redirect: "error",
    timeout: callMs,
    signal: AbortSignal.timeout(callMs),
  });

  return {
    async run(job, overrides) {
      let loaded: Api;
      try {
        loaded = await ready();
      } catch (error) {
        return { kind: "busy", reason: `no credential for Cloud Run: ${failureOf(error).reason}` };
      }
      return within(callMs, () =>
        loaded.run.projects.locations.jobs.run(
          { name: jobPath(job), requestBody: { overrides: { containerOverrides: overrides.map(overrideOf) } } },
          options(),
        ),
      ).then(({ data }) => startedAs(data), refusedAs);
    },
    execution: (job, execution) =>
      asked(async () => {
        const { run } = await ready();
        try {
          const { data } = await within(callMs, () =>
            run.projects.locations.jobs.executions.get(
              { name: `${jobPath(job)}/executions/${execution}`, fields: EXECUTION_FIELDS },
              options(),
            ),
          );
          return executionOf(data);
        } catch (error) {
          if (failureOf(error).status === 404) return null;
          throw error;
        }
      }),
    executionsSince: (job, since) =>
      asked(async () => {
        const { run } = await ready();
        return within(callMs, () => listed(run, job, since, options()));
      }),
  };
}

async function openApi(googleApis: string | null): Promise<Api> {
  const [{ run }, auth] = await Promise.all([import("@googleapis/run"), googleAuth(googleApis)]);
  return { auth, run: run({ version: "v2", auth, ...(googleApis !== null && { rootUrl: `${googleApis}/` }) }) };
}

const jobPath = ({ project, location, job }: JobName): string =>
  `projects/${project}/locations/${location}/jobs/${job}`;

function overrideOf({ container, env, args }: ContainerOverride): run_v2.Schema$GoogleCloudRunV2ContainerOverride {
  return {
    ...(container !== null && { name: container }),
    env: Object.entries(env).map(([name, value]) => ({ name, value })),
    ...(args && { args: [...args] }),
  };
}

/** The operation's metadata is the execution (https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs/run, read 2026-11). */
function startedAs(operation: run_v2.Schema$GoogleLongrunningOperation): RunResult {
  const name: unknown = operation.metadata?.name;
  const execution = typeof name === "string" ? shortName(name) : null;
  if (execution === null) return { kind: "unclear", reason: "Cloud Run took the request and named no execution" };
  return { kind: "started", execution };
}

/** 408 and 5xx may have started an execution; 429, and the conflict that 409 stands for here, did not. */
function refusedAs(error: unknown): RunResult {
  const { status, reason } = failureOf(error);
  if (status === 429 || status === 409) return { kind: "busy", reason };
  if (status === null || status === 408 || status < 400 || status >= 500) return { kind: "unclear", reason };
  return { kind: "refused", status, reason };
}

/** The order of a listing is not documented, so it is read to its end and sorted here. */
async function listed(run: run_v2.Run, job: JobName, since: number, options: CallOptions): Promise<Execution[]> {
  const found: Execution[] = [];
  let pageToken: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { data } = await run.projects.locations.jobs.executions.list(
      {
        parent: jobPath(job),
        pageSize: PAGE_SIZE,
        fields: `executions(${EXECUTION_FIELDS}),nextPageToken`,
        ...(pageToken !== undefined && { pageToken }),
      },
      options,
    );
    for (const each of data.executions ?? []) {
      const execution = executionOf(each);
      if (execution.createdAt >= since) found.push(execution);
    }
    pageToken = data.nextPageToken || undefined;
    if (pageToken === undefined) return found.sort((left, right) => right.createdAt - left.createdAt);
  }
  throw new CloudRunUnavailable(
    `job ${job.job} has over ${MAX_PAGES * PAGE_SIZE} executions, more than can be searched; delete old ones.`,
  );
}

/** Throws when a field that decides something is missing: a guess could start a run twice, or prove a false identity. */
function executionOf(data: run_v2.Schema$GoogleCloudRunV2Execution): Execution {
  const name = shortName(data.name ?? "");
  const createdAt = Date.parse(data.createTime ?? "");
  const job = /^(?:.*\/)?([^/]+)$/.exec(data.job ?? "")?.[1] ?? /\/jobs\/([^/]+)\//.exec(data.name ?? "")?.[1];
  if (name === null || job === undefined || Number.isNaN(createdAt)) {
    throw new CloudRunUnavailable("Cloud Run described an execution without its name, job or time.");
  }
  const env = (data.template?.containers ?? []).flatMap((container) => container.env ?? []);
  return {
    name,
    job,
    serviceAccount: data.template?.serviceAccount ?? "",
    completed: Boolean(data.completionTime),
    runId: env.find((variable) => variable.name === RUN_ID)?.value || null,
    createdAt,
  };
}

const shortName = (name: string): string | null => /\/executions\/([a-z0-9][a-z0-9-]{0,99})$/.exec(name)?.[1] ?? null;

async function asked<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof CloudRunUnavailable) throw error;
    const { status, reason } = failureOf(error);
    throw new CloudRunUnavailable(
      `Cloud Run ${status === null ? "cannot be asked" : `answers ${status}`}: ${reason}.`,
      {
        cause: error,
      },
    );
  }
}
