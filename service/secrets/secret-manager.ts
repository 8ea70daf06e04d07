/**
 * Google Secret Manager, as far as this service needs it. What fails is told by {@link SecretManagerError} alone: the client library's own
 * errors are never passed on, as cause neither, since they hold the request and the answer, and with them secrets.
 */
import type { SecretManagerServiceClient } from "@google-cloud/secret-manager/build/src/v1/index.js";
import crc32c from "crc-32/crc32c.js";
import type { CallOptions } from "google-gax";
import { restClientOptions } from "../google/google-client.ts";
import { type Act, explain, SecretManagerError } from "./secret-manager-error.ts";

/** One request with its repeats, the credential's included, ms. */
const DEADLINE_MS = 5_000;
const ONE_TRY_MS = 2_500;

/** UNAVAILABLE and DEADLINE_EXCEEDED (https://grpc.io/docs/guides/status-codes/, read 2026-11). */
const PASSING = [14, 4];

/** For requests that may be sent twice. */
const repeating: CallOptions = {
  retry: {
    retryCodes: PASSING,
    backoffSettings: {
      initialRetryDelayMillis: 100,
      retryDelayMultiplier: 2,
      maxRetryDelayMillis: 1_000,
      initialRpcTimeoutMillis: ONE_TRY_MS,
      rpcTimeoutMultiplier: 1,
      maxRpcTimeoutMillis: ONE_TRY_MS,
      totalTimeoutMillis: DEADLINE_MS,
    },
  },
};
const once: CallOptions = { timeout: DEADLINE_MS, retry: null };

const READ_PERMISSION = "secretmanager.versions.access";

/** The newest of them, where a listing could go on for ever. */
const MAX_LISTED = 250;

export interface SecretVersion {
  version: number;
  state: "enabled" | "disabled" | "destroyed";
}

export interface ListedSecret {
  /** `projects/P/secrets/S`. */
  name: string;
  /** ISO 8601; `null` when it is not told. */
  createdAt: string | null;
}

export class SecretManager {
  readonly #client: SecretManagerServiceClient;

  constructor(client: SecretManagerServiceClient) {
    this.#client = client;
  }

  /**
   * The value of one version of `projects/P/secrets/S`, checked against the sum that travels with it.
   * Throws {@link SecretManagerError}, as all of these do.
   */
  async access(name: string, version: number | "latest"): Promise<{ version: number; data: Buffer }> {
    const [answer] = await this.#ask("read", name, () =>
      this.#client.accessSecretVersion({ name: `${name}/versions/${version}` }, repeating),
    );
    const data = Buffer.from(answer.payload?.data ?? "");
    const sum = answer.payload?.dataCrc32c;
    if (sum === null || sum === undefined || Number(sum) !== crc32c.buf(data) >>> 0) {
      throw new SecretManagerError(
        "damaged",
        name,
        "arrived damaged: its CRC32C is not the one sent with it; try again",
      );
    }
    return { version: numberOf(answer.name), data };
  }

  /**
   * Whether there is a secret of which this account may read values; a read says 404 of one that is not there and of one without a version.
   * Asked by permission, for whoever may read values may neither get the secret nor list its versions. Of one that is not there Google
   * answers no permissions (https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/testIamPermissions, read 2026-11).
   */
  async isReadable(name: string): Promise<boolean> {
    const [answer] = await this.#ask("read", name, () =>
      this.#client.testIamPermissions({ resource: name, permissions: [READ_PERMISSION] }, repeating),
    );
    return answer.permissions?.includes(READ_PERMISSION) ?? false;
  }

  /** The newest 250, newest first. A version that was added just now may still be missing: listings are eventually consistent. */
  async versions(name: string): Promise<SecretVersion[]> {
    const [versions] = await this.#ask("list versions", name, () =>
      this.#client.listSecretVersions({ parent: name, pageSize: MAX_LISTED }, { ...repeating, autoPaginate: false }),
    );
    return versions.map((each) => ({ version: numberOf(each.name), state: stateOf(each.state) }));
  }

  /** @returns the number of the version that was made. After an unclear answer there may be one more than was told. */
  async add(name: string, data: Buffer): Promise<number> {
    const payload = { data, dataCrc32c: crc32c.buf(data) >>> 0 };
    const [version] = await this.#ask("add a version", name, () =>
      this.#client.addSecretVersion({ parent: name, payload }, once),
    );
    return numberOf(version.name);
  }

  /** Makes a secret without a version, replicated as Google chooses. */
  async create(name: string): Promise<void> {
    const [parent, secretId] = name.split("/secrets/") as [string, string];
    await this.#ask("create", name, () =>
      this.#client.createSecret({ parent, secretId, secret: { replication: { automatic: {} } } }, once),
    );
  }

  /** Secrets of a project, at most 250. */
  async secrets(project: string): Promise<ListedSecret[]> {
    const parent = `projects/${project}`;
    const [secrets] = await this.#ask("list secrets", parent, () =>
      this.#client.listSecrets({ parent, pageSize: MAX_LISTED }, { ...repeating, autoPaginate: false }),
    );
    return secrets.map(({ name, createTime }) => ({
      name: withProjectOf(name ?? "", project),
      createdAt: createTime?.seconds ? new Date(Number(createTime.seconds) * 1000).toISOString() : null,
    }));
  }

  #ask<T>(act: Act, name: string, send: () => Promise<T>): Promise<T> {
    return inTime(send).catch((error: unknown) => {
      throw explain(error, act, name);
    });
  }
}

/** The library's own deadline does not cover the time that the credential takes. */
async function inTime<T>(send: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error(), { code: 4 })), DEADLINE_MS + 500);
  });
  try {
    return await Promise.race([send(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** @param googleApis see {@link restClientOptions}. Throws {@link SecretManagerError} when there is no credential. */
export async function openSecretManager(googleApis: string | null): Promise<SecretManager> {
  const [{ SecretManagerServiceClient }, options] = await Promise.all([
    // Not the package's entry, which loads a second version of the API and 0.8 MB of messages that REST does without.
    import("@google-cloud/secret-manager/build/src/v1/index.js"),
    restClientOptions(googleApis),
  ]);
  const client = new SecretManagerServiceClient(options);
  // Here rather than at the first request, where the library leaves a failure unhandled, which ends the process.
  await inTime(() => client.initialize()).catch((error: unknown) => {
    throw explain(error, "read", "Secret Manager");
  });
  return new SecretManager(client);
}

const numberOf = (name: string | null | undefined): number =>
  Number(/\/versions\/(\d{1,9})$/.exec(name ?? "")?.[1] ?? 0);

function stateOf(state: unknown): SecretVersion["state"] {
  if (state === "ENABLED" || state === 1) return "enabled";
  return state === "DESTROYED" || state === 3 ? "destroyed" : "disabled";
}

/** Google answers with the project's number, people write its id. */
const withProjectOf = (name: string, project: string): string =>
  name.replace(/^projects\/[^/]+/, `projects/${project}`);
