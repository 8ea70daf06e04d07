/** A local Google Cloud for one proxy and its jobs: Cloud Run Jobs, Secret Manager, Google's certificates, metadata servers, a Scheduler. */
import { localCloudRun } from "./cloud-run.ts";
import { createGoogleIdentity } from "./google-identity.ts";
import { type LocalServer, serveLocalApis } from "./local-api.ts";
import { serveMetadata } from "./metadata-server.ts";
import { type Tick, tick } from "./scheduler.ts";
import { LocalSecretManager } from "./secret-manager.ts";

export interface LocalContainer {
  /** `null`: the job's only container. */
  name: string | null;
  /** Program and its first arguments, as an image's entrypoint. */
  command: readonly string[];
  args: readonly string[];
  /** The template's environment, whole: nothing of this process is inherited. */
  env: Readonly<Record<string, string>>;
}

export interface LocalJob {
  serviceAccount: string;
  containers: readonly LocalContainer[];
  tasks: number;
  parallelism: number;
  maxRetries: number;
  taskTimeoutMs: number;
}

/** How the next `jobs.run` requests end. */
export type RunFault =
  | { answer: number }
  /** The execution starts; the answer is this status, or is lost. */
  | { startThen: number | "reset" };

export interface LocalExecution {
  name: string;
  job: string;
  createdAt: number;
  /** Environment of its first container, overrides included. */
  env: Readonly<Record<string, string>>;
  /** All of its containers, overrides included. */
  containers: readonly LocalContainer[];
  attempts: number;
  succeeded: number;
  /** Tasks whose every attempt failed. */
  failed: number[];
  /** Tasks that a cancellation ended, or kept from starting. */
  cancelled: number;
  completed: boolean;
}

export interface LocalCloud {
  /** For KEYBRAKE_GOOGLE_APIS. */
  url: string;
  project: string;
  location: string;
  /** An ID token as Google would sign it for this account. */
  idToken(email: string, audience: string): string;
  setJob(name: string, job: LocalJob): void;
  /** Executions of all jobs, newest first. */
  executions(): LocalExecution[];
  /** Resolves when no task of the execution will run any more. */
  ended(execution: string): Promise<LocalExecution>;
  failNextRuns(...faults: RunFault[]): void;
  /** As `executions.cancel` does; resolves when no process of it is left. */
  cancel(execution: string): Promise<void>;
  /** Puts a secret (`projects/P/secrets/S`) with one version, or adds a version to it. */
  addSecretVersion(secret: string, value: string): void;
  /** Puts a secret without a version. */
  createSecret(secret: string): void;
  /** One tick of Cloud Scheduler, delivered twice at once, each retried like Scheduler does until a 2xx. @returns the last status of each delivery. */
  tick(target: TickTarget): Promise<number[]>;
  /** Ends every task process and the servers. Safe to call twice. */
  close(): Promise<void>;
}

export interface TickTarget extends Omit<Tick, "idToken"> {
  /** Of the ID token. */
  audience: string;
  /** Service account of the Scheduler job. */
  account: string;
}

export interface LocalCloudOptions {
  /** Default `local-project`. */
  project?: string;
  /** Default `us-central1`. */
  location?: string;
  /** File descriptor that takes the tasks' output (Cloud Logging's part). */
  logFd: number;
  /** From SIGTERM to SIGKILL of a task, ms; default 10,000. */
  graceMs?: number;
}

export async function startLocalCloud(options: LocalCloudOptions): Promise<LocalCloud> {
  const { project = "local-project", location = "us-central1", logFd, graceMs } = options;
  const identity = createGoogleIdentity();
  const secrets = new LocalSecretManager();
  const metadataServers = new Map<string, Promise<LocalServer>>();
  const metadataOf = (serviceAccount: string): Promise<LocalServer> => {
    const known = metadataServers.get(serviceAccount);
    if (known) return known;
    const idToken = (audience: string, full: boolean) => identity.idToken(serviceAccount, audience, { full });
    const server = serveMetadata({ serviceAccount, project, idToken });
    metadataServers.set(serviceAccount, server);
    return server;
  };
  const cloudRun = localCloudRun({
    ...{ project, location, logFd },
    ...(graceMs !== undefined && { graceMs }),
    metadata: async (account) => ({ GCE_METADATA_HOST: new URL((await metadataOf(account)).url).host }),
  });
  const server = await serveLocalApis([cloudRun.api, secrets.api, identity.api]);
  const close = async (): Promise<void> => {
    await cloudRun.close();
    await server.close();
    for (const each of metadataServers.values()) await (await each).close();
  };
  let closing: Promise<void> | null = null;
  return {
    url: server.url,
    project,
    location,
    idToken: (email, audience) => identity.idToken(email, audience),
    setJob: cloudRun.setJob,
    executions: cloudRun.executions,
    ended: cloudRun.ended,
    failNextRuns: cloudRun.failNextRuns,
    cancel: cloudRun.cancel,
    addSecretVersion: (secret, value) => void secrets.addVersion(secret, value),
    createSecret: (secret) => void secrets.createSecret(secret),
    tick: ({ audience, account, ...target }) => tick({ ...target, idToken: () => identity.idToken(account, audience) }),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}
